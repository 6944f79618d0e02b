// The form of one run: what each field holds, and the row that it makes.
import type { Cell, Input, Row, Run } from "./contract";
import { bytes } from "./numbers";

export interface Media {
  uri: string;
  name: string;
  size: number;
}

/** What a field holds. Only the part that suits its modality is used. */
export interface Field {
  text: string;
  labels: string[];
  media: Media[];
  out: boolean;
  error: string;
}

export type Form = Record<string, Field>;

export const EMPTY: Field = { text: "", labels: [], media: [], out: false, error: "" };
export const MEDIA: readonly string[] = ["image", "audio", "video"];
export const isMedia = (input: Input): boolean => MEDIA.includes(input.modality);

export const emptyForm = (run: Run): Form => Object.fromEntries(run.inputs.map((input) => [input.name, EMPTY]));

export function isEmpty(input: Input, field: Field): boolean {
  if (isMedia(input)) return field.media.length === 0;
  return input.modality === "categories" ? field.labels.length === 0 : field.text.trim() === "";
}

function numberOf(text: string): number {
  const value = Number(text.trim());
  if (Number.isFinite(value)) return value;
  const point = text.trim().replace(",", ".");
  const fix = Number.isFinite(Number(point)) ? `: write ${point}` : "";
  throw new Error(`“${text.trim()}” is not a number${fix}.`);
}

function sequenceOf(text: string): number[][] {
  const lines = text.trim().split(/\n+/);
  return lines.map((line, index) => {
    const values = line.trim().split(/[\s,;]+/).map(Number);
    if (!values.every(Number.isFinite)) throw new Error(`Line ${index + 1} holds something that is not a number.`);
    return values;
  });
}

/** The cell that a field makes; null is a missing input. */
export function cellOf(input: Input, field: Field): Cell {
  if (field.out || isEmpty(input, field)) return null;
  if (isMedia(input)) return field.media.length === 1 ? field.media[0]!.uri : field.media.map((item) => item.uri);
  if (input.modality === "categories") return field.labels;
  if (input.modality === "number") return numberOf(field.text);
  return input.modality === "sequence" ? sequenceOf(field.text) : field.text;
}

/** The row of a form and the errors of its fields; inputs that are missing are absent from the row. */
export function rowOf(inputs: Input[], form: Form): { row: Row; errors: Record<string, string> } {
  const row: Row = {};
  const errors: Record<string, string> = {};
  for (const input of inputs) {
    try {
      const cell = cellOf(input, form[input.name] ?? EMPTY);
      if (cell !== null) row[input.name] = cell;
    } catch (error) {
      errors[input.name] = (error as Error).message;
    }
  }
  return { row, errors };
}

const EXTENSION: Record<string, string> = { jpeg: "jpg", mpeg: "mp3", "x-wav": "wav", "svg+xml": "svg", quicktime: "mov" };

function mediaOf(uri: string, name: string): Media {
  const kind = /^data:\w+\/([\w.+-]+)/.exec(uri)?.[1] ?? "bin";
  const size = Math.floor(((uri.length - uri.indexOf(",") - 1) * 3) / 4);
  return { uri, name: `${name.replace(/[^\w-]+/g, "_")}.${EXTENSION[kind] ?? kind}`, size };
}

/** The field that shows a cell of an example. */
export function fieldOf(input: Input, cell: unknown): Field {
  if (cell === null || cell === undefined) return { ...EMPTY, out: true };
  const many = Array.isArray(cell) ? cell : [cell];
  if (isMedia(input)) return { ...EMPTY, media: many.map((uri) => mediaOf(String(uri), input.name)) };
  if (input.modality === "categories") return { ...EMPTY, labels: many.map(String) };
  if (input.modality === "sequence") return { ...EMPTY, text: many.map((line) => [line].flat().join(" ")).join("\n") };
  return { ...EMPTY, text: String(cell) };
}

export const formOf = (run: Run, row: Row): Form =>
  Object.fromEntries(run.inputs.map((input) => [input.name, fieldOf(input, row[input.name])]));

/** Whether two forms hold the same, whatever their errors. */
export const sameCells = (one: Form, other: Form): boolean =>
  Object.keys(one).every((name) => {
    const [a, b] = [one[name]!, other[name]!];
    return a.text === b.text && a.out === b.out && a.labels === b.labels && a.media === b.media;
  });

const readUri = (blob: Blob): Promise<string> =>
  new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => failed(new Error("This file cannot be read."));
    reader.readAsDataURL(blob);
  });

/** A file as a data URI; refused here if it suits no field or the service would refuse its size. */
export async function readFile(file: File, accept: string, most: number): Promise<Media> {
  const kinds = accept.split(",").map((kind) => kind.trim().replace("*", ""));
  if (!kinds.some((kind) => file.type.startsWith(kind))) {
    throw new Error(`${file.name} is ${file.type || "of an unknown type"}; expected ${accept}.`);
  }
  if (file.size === 0) throw new Error(`${file.name} is empty.`);
  if (file.size > most) {
    throw new Error(`${file.name} has ${bytes(file.size)}; this service reads at most ${bytes(most)} per file.`);
  }
  return { uri: await readUri(file), name: file.name || "file", size: file.size };
}
