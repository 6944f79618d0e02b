// One input of the run: its label, its switch "leave out", the control that suits its modality, its error.
import type { ComponentChildren } from "preact";
import type { Input, Run } from "./contract";
import { EMPTY, isMedia, type Field } from "./form";
import { MediaControl } from "./media";
import { fieldId, formFor, setField } from "./state";

export interface ControlProps {
  input: Input;
  field: Field;
  id: string;
  change: (change: Partial<Field>) => void;
  described: { "aria-invalid"?: boolean; "aria-describedby"?: string };
}

const MANY = 40; // choices: above, a text field that completes

function TextArea({ field, id, change, described, input }: ControlProps) {
  const sequence = input.modality === "sequence";
  const hint = sequence ? "One step per line, its numbers separated by spaces" : undefined;
  return (
    <textarea
      id={id} rows={sequence ? 5 : 4} value={field.text} placeholder={hint} class={sequence ? "code" : undefined}
      onInput={(event) => change({ text: event.currentTarget.value })} {...described}
    />
  );
}

function NumberLine({ field, id, change, described }: ControlProps) {
  return (
    <input
      id={id} type="text" inputMode="decimal" autocomplete="off" value={field.text}
      onInput={(event) => change({ text: event.currentTarget.value })} {...described}
    />
  );
}

const DAY = /^(\d{4}-\d\d-\d\d)?$/;

function DateLine({ field, id, change, described }: ControlProps) {
  const onInput = (event: { currentTarget: HTMLInputElement }) => {
    const { value, validity } = event.currentTarget;
    change({ text: value, error: validity.badInput ? "This date is not complete." : "" });
  };
  const same = { id, value: field.text, onInput, ...described };
  return DAY.test(field.text) ? <input type="date" max="9999-12-31" {...same} /> : <input type="text" {...same} />;
}

function Choice(props: ControlProps) {
  const { input, field, id, change, described } = props;
  const choices = input.choices ?? [];
  if (choices.length === 0 || choices.length > MANY) {
    return (
      <>
        <input
          id={id} type="text" autocomplete="off" list={choices.length ? `${id}-choices` : undefined} value={field.text}
          onInput={(event) => change({ text: event.currentTarget.value })} {...described}
        />
        <datalist id={`${id}-choices`}>{choices.map((value) => <option key={value} value={String(value)} />)}</datalist>
      </>
    );
  }
  const known = !field.text || choices.map(String).includes(field.text);
  return (
    <select id={id} value={field.text} onChange={(event) => change({ text: event.currentTarget.value })} {...described}>
      <option value="">Choose …</option>
      {!known && <option value={field.text}>{field.text}</option>}
      {choices.map((value) => <option key={value} value={String(value)}>{String(value)}</option>)}
    </select>
  );
}

const labelsOf = (text: string): string[] => [...new Set(text.split(",").map((label) => label.trim()).filter(Boolean))];

function Labels({ input, field, id, change, described }: ControlProps) {
  const choices = (input.choices ?? []).map(String);
  if (choices.length === 0 || choices.length > MANY) {
    return (
      <input
        id={id} type="text" autocomplete="off" placeholder="Separated by commas" defaultValue={field.labels.join(", ")}
        onInput={(event) => change({ labels: labelsOf(event.currentTarget.value) })} {...described}
      />
    );
  }
  const toggle = (label: string) => {
    const without = field.labels.filter((other) => other !== label);
    change({ labels: without.length < field.labels.length ? without : [...field.labels, label] });
  };
  return (
    <div class="chips" id={id} role="group" tabIndex={-1} aria-labelledby={`${id}-label`} {...described}>
      {choices.map((label) => (
        <button key={label} type="button" class="chip" aria-pressed={field.labels.includes(label)} onClick={() => toggle(label)}>
          {label}
        </button>
      ))}
    </div>
  );
}

const CONTROLS: Record<string, (props: ControlProps) => preact.JSX.Element> = {
  text: TextArea, sequence: TextArea, number: NumberLine, date: DateLine, category: Choice, categories: Labels,
  image: MediaControl, audio: MediaControl, video: MediaControl,
};

const WIDE: readonly string[] = ["text", "sequence", "categories", "image", "audio", "video"];

function Switch({ name, on, id, change }: { name: string; on: boolean; id: string; change: (on: boolean) => void }) {
  return (
    <label class="switch">
      <input
        type="checkbox" role="switch" checked={on} aria-label={`Leave out ${name}`} id={`${id}-out`}
        onChange={(event) => change(event.currentTarget.checked)}
      />
      <span aria-hidden="true">Leave out</span>
    </label>
  );
}

/** An input that has a group of controls, not one that a label can name. */
function isGroup(input: Input): boolean {
  const choices = input.choices?.length ?? 0;
  return isMedia(input) || (input.modality === "categories" && choices > 0 && choices <= MANY);
}

export function FieldOf({ run, input }: { run: Run; input: Input }) {
  const field = formFor(run)[input.name] ?? EMPTY;
  const id = fieldId(run, input.name);
  const Control = CONTROLS[input.modality] ?? TextArea;
  const change = (changed: Partial<Field>) => setField(run, input.name, changed);
  const described = field.error ? { "aria-invalid": true, "aria-describedby": `${id}-error` } : {};
  const kind = <span class="soft kind">{input.modality}</span>;
  const label: ComponentChildren = isGroup(input) || field.out
    ? <span class="name" id={`${id}-label`}>{input.name}</span>
    : <label class="name" for={id} id={`${id}-label`}>{input.name}</label>;
  return (
    <div class={`field${WIDE.includes(input.modality) ? " wide" : ""}${field.out ? " out" : ""}`}>
      <div class="head">
        <span>{label} {kind}</span>
        <Switch name={input.name} on={field.out} id={id} change={(out) => change({ out })} />
      </div>
      {field.out
        ? <p class="left" id={id} tabIndex={-1}>Left out: the model answers without it.</p>
        : <Control input={input} field={field} id={id} change={change} described={described} />}
      {field.error && <p class="error" id={`${id}-error`}>{field.error}</p>}
    </div>
  );
}
