// The tab Chat: a conversation with a run that answers in words, streamed, with attachments.
import { signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Run } from "./contract";
import { readFile, type Media } from "./form";
import { Preview } from "./media";
import { ServiceError, isAbort, messageOf, post } from "./service";
import { mostBytes, locked, notice } from "./state";
import { type ContentPart, deltas, partOf } from "./streaming";

interface Turn {
  role: "user" | "assistant";
  text: string;
  media: Media[];
  error?: string;
  stopped?: boolean;
}

const conversations = signal<Record<string, Turn[]>>({});
const setTurns = (run: Run, turns: Turn[]) => (conversations.value = { ...conversations.value, [run.name]: turns });

function messageFor(turn: Turn): { role: string; content: string | ContentPart[] } {
  if (turn.media.length === 0) return { role: turn.role, content: turn.text };
  const text: ContentPart[] = turn.text ? [{ type: "text", text: turn.text }] : [];
  return { role: turn.role, content: [...turn.media.map((item) => partOf(item.uri)), ...text] };
}

/** The conversation without questions that got no answer: roles take turns. */
const answered = (turns: Turn[]): Turn[] => {
  const failed = (turn: Turn | undefined) => turn?.role === "assistant" && (!!turn.error || !turn.text);
  return turns.filter((turn, at) => !failed(turn) && !failed(turns[at + 1]));
};

const kindOf = (item: Media): string => item.uri.slice(5, item.uri.indexOf("/"));

function TurnOf({ turn, busy }: { turn: Turn; busy: boolean }) {
  return (
    <li class={turn.role}>
      <span class="unseen">{turn.role === "user" ? "You: " : "Model: "}</span>
      {turn.media.map((item) => <Preview key={item.name} item={item} kind={kindOf(item)} name="Attachment" />)}
      {turn.text && <p>{turn.text}</p>}
      {busy && !turn.text && <p class="soft">…</p>}
      {turn.stopped && <p class="soft">Stopped.</p>}
      {turn.error && <p class="error">{turn.error}</p>}
    </li>
  );
}

export function ChatTab({ run }: { run: Run }) {
  const text = useSignal("");
  const attached = useSignal<Media[]>([]);
  const error = useSignal("");
  const flight = useSignal<AbortController | null>(null);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => () => flight.value?.abort(), []);
  const turns = conversations.value[run.name] ?? [];
  useEffect(() => { if (turns.length) end.current?.scrollIntoView({ block: "nearest" }); }, [turns]);

  const kinds = run.attachments ?? [];
  const attach = async (files: Iterable<File>) => {
    error.value = "";
    try {
      const read = await Promise.all([...files].map((file) => readFile(file, kinds.join(","), mostBytes.value)));
      attached.value = [...attached.value, ...read];
    } catch (reason) {
      error.value = messageOf(reason);
    }
  };
  const stream = async (sent: Turn[]) => {
    const controller = new AbortController();
    flight.value = controller;
    let answer: Turn = { role: "assistant", text: "", media: [] };
    const update = (change: Partial<Turn>) => setTurns(run, [...sent, (answer = { ...answer, ...change })]);
    update({});
    try {
      const body = { model: run.name, stream: true, messages: answered(sent).map(messageFor) };
      const response = await post("/v1/chat/completions", body, controller.signal);
      for await (const piece of deltas(response)) update({ text: answer.text + piece });
      notice.value = `Model: ${answer.text}`;
    } catch (reason) {
      if (reason instanceof ServiceError && reason.status === 401) locked.value = true;
      update(isAbort(reason) ? { stopped: true } : { error: messageOf(reason) });
      if (!isAbort(reason)) notice.value = messageOf(reason);
    }
    flight.value = null;
  };
  const send = (event?: Event) => {
    event?.preventDefault();
    if (flight.value || !(text.value.trim() || attached.value.length)) return;
    const turn: Turn = { role: "user", text: text.value.trim(), media: attached.value };
    text.value = "";
    attached.value = [];
    void stream([...turns, turn]);
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  return (
    <div class="chat">
      {turns.length === 0 && <p class="soft">Write to the model{kinds.length > 0 && ", with files where it reads them"}. Nothing is kept after this tab is closed.</p>}
      <ol class="turns" aria-label="Conversation">
        {turns.map((turn, at) => <TurnOf key={at} turn={turn} busy={!!flight.value && at === turns.length - 1} />)}
      </ol>
      <div ref={end} />
      <form onSubmit={send} aria-label="Write a message" class="composer"
        onPaste={(event) => { if (event.clipboardData?.files.length) { event.preventDefault(); void attach(event.clipboardData.files); } }}
        onDragOver={(event) => event.preventDefault()}
        onDrop={(event) => { event.preventDefault(); void attach(event.dataTransfer?.files ?? []); }}>
        {attached.value.length > 0 && (
          <ul class="items">
            {attached.value.map((item) => (
              <li key={item.uri.slice(-64)}>
                <Preview item={item} kind={kindOf(item)} name="Attachment" />
                <button type="button" class="quiet" aria-label={`Remove ${item.name}`}
                  onClick={() => (attached.value = attached.value.filter((other) => other !== item))}>Remove</button>
              </li>
            ))}
          </ul>
        )}
        {error.value && <p class="error" role="alert">{error}</p>}
        <label class="unseen" for="message">Message</label>
        <textarea id="message" rows={2} placeholder="Message" value={text.value} onKeyDown={key}
          onInput={(event) => (text.value = event.currentTarget.value)} />
        <div class="actions">
          {flight.value
            ? <button type="button" class="primary" onClick={() => flight.value?.abort()}>Stop</button>
            : <button class="primary">Send</button>}
          {kinds.length > 0 && (
            <label class="button">Attach
              <input type="file" class="unseen" multiple accept={kinds.join(",")} aria-label="Attach files"
                onChange={(event) => { void attach(event.currentTarget.files ?? []); event.currentTarget.value = ""; }} />
            </label>
          )}
          {turns.length > 0 && !flight.value && <button type="button" class="quiet" onClick={() => setTurns(run, [])}>New conversation</button>}
          <span class="soft hint">Enter sends, Shift + Enter begins a line</span>
        </div>
      </form>
    </div>
  );
}
