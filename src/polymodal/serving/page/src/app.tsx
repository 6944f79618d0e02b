// The frame: token entry, the choice of the run, and the tabs.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ChatTab } from "./chat";
import { CodeTab } from "./code";
import type { Run } from "./contract";
import { plain } from "./numbers";
import { PredictTab } from "./predict";
import { ReportTab } from "./report";
import { SearchTab } from "./search";
import { ServiceError, describe, messageOf, signIn } from "./service";
import { description, locked, notice, run, runName, runs, tab } from "./state";

const TABS: [string, string, (props: { run: Run }) => preact.JSX.Element][] = [
  ["predict", "Predict", PredictTab],
  ["search", "Search", SearchTab],
  ["chat", "Chat", ChatTab],
  ["report", "Report", ReportTab],
  ["api", "API", CodeTab],
];

const tabsOf = (entry: Run) => TABS.filter(([name]) => name === "api" || entry.capabilities.includes(name));

function Token({ load }: { load: () => Promise<void> }) {
  const token = useSignal("");
  const error = useSignal("");
  const enter = async (event: Event) => {
    event.preventDefault();
    try {
      await signIn(token.value);
      await load();
    } catch (reason) {
      error.value =
        reason instanceof ServiceError && reason.status === 401 ? "This is not the token of this server." : messageOf(reason);
      document.getElementById("token")?.focus();
    }
  };
  return (
    <form class="gate" onSubmit={enter}>
      <h1>This server wants a token</h1>
      <p class="soft">It was set when the server was started. It is kept in a cookie that no script can read.</p>
      <label class="name" for="token">Token</label>
      <input
        id="token" type="password" autocomplete="current-password" required autofocus
        aria-invalid={!!error.value} aria-describedby="token-error"
        onInput={(event) => (token.value = event.currentTarget.value)}
      />
      <p class="error" id="token-error" role="alert">{error}</p>
      <button class="primary">Continue</button>
    </form>
  );
}

function titleOf(entry: Run): string {
  const targets = entry.targets.map((target) => target.name).join(", ");
  const inputs = entry.inputs.map((input) => input.name).join(", ");
  return targets ? `${targets} from ${inputs}` : inputs || entry.name;
}

const WRITTEN: Record<string, string> = { r2: "R²", mae: "MAE", rmse: "RMSE", auroc: "AUROC", macro_f1: "macro F1" };

function subtitleOf({ metric, kind, inputs, targets, attachments }: Run): string {
  const kinds = [...new Set(inputs.map((input) => input.modality))].join(", ");
  const read = ["text", ...(attachments ?? []).map((type) => type.replace("/*", ""))].join(", ");
  const parts = [inputs.length ? `${inputs.length} ${inputs.length === 1 ? "input" : "inputs"} (${kinds})` : `messages (${read})`];
  const of = targets.length > 1 ? `${targets[0]!.name}: ` : "";
  if (metric) parts.unshift(`${of}${WRITTEN[metric.name] ?? metric.name.replaceAll("_", " ")} ${plain(metric.value)} on ${plain(metric.rows)} test rows`);
  if (kind === "space") parts.push("shared space of vectors");
  if (kind === "language") parts.push("answers in words");
  return parts.join(" · ");
}

function Header({ entry }: { entry: Run }) {
  return (
    <header>
      <div class="brand">
        <svg viewBox="0 0 16 16" width="18" height="18" aria-hidden="true">
          <circle cx="6" cy="6" r="4.5" /><circle cx="10" cy="10" r="4.5" />
        </svg>
        <span>Polymodal</span>
        {runs.value.length > 1 ? (
          <span class="runs">
            <label for="run">Run</label>
            <select id="run" value={entry.name} onChange={(event) => (runName.value = event.currentTarget.value)}>
              {runs.value.map(({ name }) => <option key={name} value={name}>{name}</option>)}
            </select>
          </span>
        ) : <span class="soft run">{entry.name}</span>}
      </div>
      <h1>{titleOf(entry)}</h1>
      <p class="soft">{subtitleOf(entry)}</p>
    </header>
  );
}

function Tabs({ entry }: { entry: Run }) {
  const tabs = tabsOf(entry);
  const active = tabs.find(([name]) => name === tab.value) ?? tabs[0]!;
  const move = (event: KeyboardEvent) => {
    const at = tabs.indexOf(active);
    const last = tabs.length - 1;
    const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tab.value = tabs[to]![0];
    document.getElementById(`tab-${tabs[to]![0]}`)?.focus();
  };
  const [name, , Panel] = active;
  return (
    <>
      <div class="tabs" role="tablist" aria-label="What to do" onKeyDown={move}>
        {tabs.map(([key, label]) => (
          <button
            key={key} id={`tab-${key}`} type="button" role="tab" aria-selected={key === name}
            aria-controls={key === name ? `panel-${key}` : undefined}
            tabIndex={key === name ? 0 : -1} onClick={() => (tab.value = key)}
          >{label}</button>
        ))}
      </div>
      <div key={`${entry.name}/${name}`} id={`panel-${name}`} role="tabpanel" aria-labelledby={`tab-${name}`}>
        <Panel run={entry} />
      </div>
    </>
  );
}

export function App() {
  const error = useSignal("");
  const load = async () => {
    error.value = "";
    try {
      description.value = await describe();
      locked.value = false;
    } catch (reason) {
      if (reason instanceof ServiceError && reason.status === 401) locked.value = true;
      else error.value = messageOf(reason);
    }
  };
  useEffect(() => void load(), []);
  const entry = run.value;
  return (
    <>
      {entry && !locked.value && <a class="skip" href="#content">To the content</a>}
      <main id="content" tabIndex={-1}>
        {locked.value ? <Token load={load} /> : error.value ? (
          <div class="gate">
            <h1>Nothing to show</h1>
            <p class="error" role="alert">{error}</p>
            <button class="primary" type="button" onClick={load}>Try again</button>
          </div>
        ) : entry ? <><Header entry={entry} /><Tabs entry={entry} /></> : (
          <p class="soft gate" role="status">{description.value ? "This service serves no run." : "Loading …"}</p>
        )}
        {entry && !locked.value && (
          <footer>
            Polymodal {description.value?.version} · <a href="/docs">reference of the API</a>
          </footer>
        )}
      </main>
      <div class="unseen" role="status" aria-live="polite">{notice}</div>
    </>
  );
}
