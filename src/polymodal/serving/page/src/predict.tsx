// The tab Predict: the form with its examples, the answer beside it, the explanation below, the history.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { AnswerOf, Shares, summary, withUnit } from "./answer";
import type { Row, Run, Sample } from "./contract";
import { Explanation } from "./explanation";
import { FieldOf } from "./field";
import { emptyForm, formOf, rowOf, sameCells } from "./form";
import { ServiceError, isAbort, messageOf, predict, samplesOf } from "./service";
import { type Answered, formFor, history, locked, notice, assignErrors, setForm, show, shown } from "./state";

function Examples({ run }: { run: Run }) {
  const samples = useSignal<Sample[]>([]);
  const error = useSignal("");
  useEffect(() => {
    if (run.samples) samplesOf(run.name).then((list) => (samples.value = list), (reason) => (error.value = messageOf(reason)));
  }, [run.name]);
  if (error.value) return <p class="error">The examples cannot be shown: {error}</p>;
  if (!samples.value.length) return null;
  const picture = run.inputs.find((input) => input.modality === "image")?.name;
  const open = (sample: Sample, at: number) => {
    setForm(run, formOf(run, sample.row));
    show(run, undefined);
    notice.value = `Example ${at + 1} fills the form.`;
  };
  return (
    <div class="examples" role="group" aria-label="Examples">
      {samples.value.slice(0, 8).map((sample, at) => {
        const cell = picture ? [sample.row[picture] ?? null].flat()[0] : null;
        return (
          <button key={at} type="button" class="example" onClick={() => open(sample, at)}>
            {typeof cell === "string" && <img src={cell} alt="" />}
            <span>Example {at + 1}<small>{run.targets[0] && withUnit(run.targets[0], sample.answer).slice(0, 40)}</small></span>
          </button>
        );
      })}
    </div>
  );
}

function History({ run }: { run: Run }) {
  const mine = history.value.filter((entry) => entry.run === run.name);
  if (mine.length < 2) return null;
  const open = (entry: Answered) => {
    setForm(run, entry.form);
    show(run, entry);
    notice.value = `The request of ${entry.at.toLocaleTimeString()} fills the form.`;
  };
  return (
    <section aria-labelledby="history">
      <h2 id="history">History of this tab</h2>
      <ol class="history">
        {mine.map((entry) => (
          <li key={entry.at.getTime()}>
            <button type="button" aria-current={shown.value[run.name] === entry ? "true" : undefined} onClick={() => open(entry)}>
              <time>{entry.at.toLocaleTimeString()}</time><span>{summary(run, entry.answer)}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The inputs' shares, computed after the answer was shown: they take as many predictions as there are subsets. */
function SharesOf({ run, answered }: { run: Run; answered: Answered }) {
  const busy = useSignal(false);
  const error = useSignal("");
  const { shares } = answered.answer;
  const compute = async () => {
    busy.value = true;
    error.value = "";
    try {
      const answer = await predict(run.name, rowOf(run.inputs, answered.form).row, { probabilities: true, shares: true });
      if (!answer.shares) throw new Error("This server computes no contributions for this run.");
      const whole = { ...answered, answer: { ...answered.answer, shares: answer.shares } };
      history.value = history.value.map((entry) => (entry === answered ? whole : entry));
      if (shown.value[run.name] === answered) show(run, whole);
      notice.value = "The contributions of the inputs are shown.";
    } catch (reason) {
      error.value = messageOf(reason);
    }
    busy.value = false;
  };
  return (
    <div class="shares">
      <h3>What each input contributed</h3>
      {shares ? <Shares run={run} shares={shares} /> : (
        <button type="button" disabled={busy.value} onClick={compute}>{busy.value ? "Computing …" : "Compute contributions"}</button>
      )}
      {error.value && <p class="error" role="alert">{error}</p>}
    </div>
  );
}

export function PredictTab({ run }: { run: Run }) {
  const busy = useSignal(false);
  const errors = useSignal<string[]>([]);
  const flight = useRef<AbortController | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => () => flight.current?.abort(), []);
  const answered = shown.value[run.name];
  const stale = answered && !sameCells(answered.form, formFor(run));

  const place = (reason: unknown) => {
    if (isAbort(reason)) return;
    if (reason instanceof ServiceError && reason.status === 401) locked.value = true;
    const faults = reason instanceof ServiceError && reason.faults.length ? reason.faults : [{ message: messageOf(reason) }];
    errors.value = assignErrors(run, faults);
    notice.value = faults.map((fault) => fault.message).join(" ");
  };
  const answer = async (row: Row) => {
    const form = formFor(run);
    busy.value = true;
    flight.current = new AbortController();
    try {
      const given = await predict(run.name, row, { probabilities: true }, flight.current.signal);
      const entry: Answered = { run: run.name, form, answer: given, at: new Date() };
      history.value = [entry, ...history.value].slice(0, 50);
      show(run, entry);
      notice.value = `Answer: ${summary(run, given)}.`;
      requestAnimationFrame(() => heading.current?.scrollIntoView({ block: "nearest" }));
    } catch (reason) {
      show(run, undefined);
      place(reason);
    }
    busy.value = false;
  };
  const submit = (event: Event) => {
    event.preventDefault();
    if (busy.value) return;
    errors.value = [];
    const form = formFor(run);
    const { row, errors: wrong } = rowOf(run.inputs, form);
    const faults = run.inputs.flatMap(({ name }) => {
      const message = wrong[name] ?? (form[name]?.out ? "" : form[name]?.error);
      return message ? [{ input: name, message }] : [];
    });
    if (faults.length) place(new ServiceError(422, faults[0]!.message, faults));
    else void answer(row);
  };
  const clear = () => {
    setForm(run, emptyForm(run));
    show(run, undefined);
    errors.value = [];
  };
  return (
    <>
      <div class="columns">
        <form onSubmit={submit} aria-label="Inputs" noValidate>
          <Examples run={run} />
          <div class="fields">{run.inputs.map((input) => <FieldOf key={input.name} run={run} input={input} />)}</div>
          {errors.value.map((message) => <p key={message} class="error box" role="alert">{message}</p>)}
          <div class="actions">
            <button class="primary" aria-disabled={busy.value}>{busy.value ? "Computing …" : "Predict"}</button>
            {busy.value && <button type="button" onClick={() => flight.current?.abort()}>Stop</button>}
            <button type="button" class="quiet" onClick={clear}>Clear</button>
          </div>
        </form>
        <section class="answer" aria-labelledby="answer" aria-busy={busy.value}>
          <h2 id="answer" ref={heading}>Answer</h2>
          {answered
            ? <>{stale && <p class="soft">The form has changed since this answer.</p>}
                <AnswerOf run={run} answer={answered.answer} />
                {run.kind !== "language" && <SharesOf key={answered.at.getTime()} run={run} answered={answered} />}</>
            : <p class="soft">Fill in what you know and press Predict. What is empty or left out counts as missing; the model was trained for that.</p>}
        </section>
      </div>
      {answered && run.capabilities.includes("explain") && (
        <Explanation key={answered.at.getTime()} run={run} row={rowOf(run.inputs, answered.form).row} />
      )}
      <History run={run} />
    </>
  );
}
