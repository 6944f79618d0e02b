// The tab API: the request of the form as curl and Python, to be copied.
import { useSignal } from "@preact/signals";
import type { Run } from "./contract";
import { rowOf } from "./form";
import { callOf, chatPython, curl, python } from "./snippets";
import { description, formFor, notice } from "./state";

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false; // not allowed, or no secure context: the block can be selected by hand
  }
}

function Code({ title, text }: { title: string; text: string }) {
  const state = useSignal("Copy");
  const press = async () => {
    const done = await copy(text);
    state.value = done ? "Copied" : "Select it by hand";
    notice.value = done ? `${title} is copied.` : "The browser did not allow copying.";
    setTimeout(() => (state.value = "Copy"), 2000);
  };
  return (
    <section class="snippet" aria-label={title}>
      <div class="head"><h2>{title}</h2><button type="button" class="quiet" aria-label={`Copy ${title}`} onClick={press}>{state}</button></div>
      <pre tabIndex={0} aria-label={title}><code>{text}</code></pre>
    </section>
  );
}

const ROUTES: [string, string, string, Record<string, boolean>][] = [
  ["predict", "Predict", "/predict", { probabilities: true }],
  ["embed", "Vectors", "/embed", {}],
  ["explain", "Explain", "/explain", {}],
];

export function CodeTab({ run }: { run: Run }) {
  const token = description.value?.token ?? false;
  const chosen = useSignal("");
  const form = formFor(run);
  const { row, errors } = rowOf(run.inputs, form);
  const routes = ROUTES.filter(([name]) => run.capabilities.includes(name));
  const route = routes.find(([name]) => name === chosen.value) ?? routes[0];
  const call = route && callOf(run, row, form, route[2], route[3]);
  const { origin } = location;
  return (
    <>
      <p class="soft">
        {call ? "The request of the form in the tab Predict, for programs. " : ""}
        <a href="/docs">All routes</a>{token && <>; the token is read from the variable <code>POLYMODAL_TOKEN</code></>}.
        {call?.files.length ? " Files are read from the folder where the lines run." : ""}
      </p>
      {Object.entries(errors).map(([name, message]) => <p key={name} class="error">{name}: {message}</p>)}
      {routes.length > 1 && (
        <div class="chips" role="group" aria-label="Request">
          {routes.map((entry) => (
            <button key={entry[0]} type="button" class="chip" aria-pressed={entry === route} onClick={() => (chosen.value = entry[0])}>
              {entry[1]}
            </button>
          ))}
        </div>
      )}
      {call && <Code title="curl" text={curl(origin, call, token)} />}
      {call && <Code title="Python" text={python(origin, call, token)} />}
      {run.capabilities.includes("chat") && <Code title="Chat in Python" text={chatPython(origin, run, token)} />}
    </>
  );
}
