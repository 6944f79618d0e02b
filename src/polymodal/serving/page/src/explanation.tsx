// The page of /explain in this one: its body in a shadow root, with its own style sheet.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Row, Run } from "./contract";
import { explanationPage, isAbort, messageOf } from "./service";
import { notice } from "./state";

const LEFT_OUT = "script, style, link, meta, base, form, iframe, object, embed, .skip, h1, nav, footer";

/** The parts of the page; what follows its last heading, on how to read it, is folded. */
function folded(parts: Element[]): Element[] {
  const last = parts.findLastIndex((part) => part.tagName === "H2");
  if (last < 0) return parts;
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.textContent = parts[last]!.textContent;
  details.append(summary, ...parts.slice(last + 1));
  return [...parts.slice(0, last), details];
}

/**
 * Shows the page in `host`. Its inline styles are taken off before it is parsed, and set as properties: the policy of this
 * page allows no others. A quote in text is escaped there, so ` style="` is only ever an attribute.
 */
function fill(host: HTMLElement, html: string): void {
  const styles: string[] = [];
  const bare = html
    .replace(/<style>([^]*?)<\/style>/g, (_, text: string) => (styles.push(text), ""))
    .replaceAll(' style="', ' data-style="');
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(styles.join("\n").replace(/(^|[\s}]):root\b/g, "$1:host"));
  const page = new DOMParser().parseFromString(bare, "text/html");
  page.querySelectorAll(LEFT_OUT).forEach((element) => element.remove());
  const parts = [...(page.querySelector("main") ?? page.body).children];
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  root.replaceChildren(...folded(parts.filter((part) => !/^Row \d+$/.test(part.textContent ?? ""))));
  root.querySelectorAll<HTMLElement>("[data-style]").forEach((element) => (element.style.cssText = element.dataset["style"]!));
}

export function Explanation({ run, row }: { run: Run; row: Row }) {
  const host = useRef<HTMLDivElement>(null);
  const flight = useRef(new AbortController());
  const state = useSignal<"none" | "busy" | "shown">("none");
  const error = useSignal("");
  useEffect(() => () => flight.current.abort(), []);
  const explain = async () => {
    state.value = "busy";
    error.value = "";
    try {
      fill(host.current!, await explanationPage(run.name, row, flight.current.signal));
      state.value = "shown";
      notice.value = "The explanation is shown.";
    } catch (reason) {
      state.value = "none";
      if (!isAbort(reason)) error.value = messageOf(reason);
    }
  };
  return (
    <section aria-labelledby="explanation">
      <h2 id="explanation">Why this answer</h2>
      {state.value !== "shown" && (
        <p class="sources">
          <button type="button" disabled={state.value === "busy"} onClick={explain}>
            {state.value === "busy" ? "Computing …" : "Explain this answer"}
          </button>
          <span class="soft">Heat over pictures, marked words and cells. It takes longer than the answer.</span>
        </p>
      )}
      {error.value && <p class="error" role="alert">{error}</p>}
      <div ref={host} class="explained" hidden={state.value !== "shown"} />
    </section>
  );
}
