// What the tabs share: the description of the service, the chosen run, its form, and the answers of this tab.
import { computed, signal } from "@preact/signals";
import type { Answer, Description, Fault, Input, Run } from "./contract";
import { EMPTY, emptyForm, type Field, type Form } from "./form";

export interface Answered {
  run: string;
  form: Form;
  answer: Answer;
  at: Date;
}

export const description = signal<Description | null>(null);
export const locked = signal(false); // a token is wanted
export const runName = signal("");
export const tab = signal("predict");
export const forms = signal<Record<string, Form>>({});
export const shown = signal<Record<string, Answered | undefined>>({}); // the answer of each run that is in view
export const history = signal<Answered[]>([]);
export const notice = signal(""); // read out by screen readers

export const runs = computed(() => description.value?.runs ?? []);
export const run = computed<Run | undefined>(
  () => runs.value.find((entry) => entry.name === runName.value) ?? runs.value[0],
);

/** Bytes that a file may have: base64 makes four of three, and a request has a limit as well. */
export const mostBytes = computed(() => {
  const { file_bytes: file = Infinity, body_bytes: body = Infinity } = description.value?.limits ?? {};
  return Math.min(file, Math.floor(0.75 * body) - 10_000);
});

export const formFor = (entry: Run): Form => forms.value[entry.name] ?? emptyForm(entry);

export function setForm(entry: Run, form: Form): void {
  forms.value = { ...forms.value, [entry.name]: form };
}

export function setField(entry: Run, name: string, change: Partial<Field>): void {
  const form = formFor(entry);
  setForm(entry, { ...form, [name]: { ...(form[name] ?? EMPTY), error: "", ...change } });
}

export function show(entry: Run, answered: Answered | undefined): void {
  shown.value = { ...shown.value, [entry.name]: answered };
}

export const fieldId = (entry: Run, input: string): string => `field-${entry.inputs.findIndex((i) => i.name === input)}`;

/** Writes errors under their fields, moves the focus to the first; returns what belongs to no field. */
export function assignErrors(entry: Run, faults: Fault[]): string[] {
  const form = { ...formFor(entry) };
  const others: string[] = [];
  let first = "";
  for (const { input, message } of faults) {
    const field = input ? form[input] : undefined;
    if (input && field) {
      form[input] = { ...field, error: message };
      first ||= input;
    } else others.push(message);
  }
  setForm(entry, form);
  if (first) requestAnimationFrame(() => document.getElementById(fieldId(entry, first))?.focus());
  return others;
}

export const inputOf = (entry: Run, name: string): Input | undefined => entry.inputs.find((input) => input.name === name);
