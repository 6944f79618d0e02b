// The request of the form as lines for a shell and for Python.
import type { Cell, Input, Row, Run } from "./contract";
import { isMedia, type Form } from "./form";

export interface Call {
  path: string;
  /** Names of files by input. */
  files: [string, string][];
  row: Row;
  run: string;
  more: Record<string, boolean>;
}

const shell = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Python code among values. */
class Code {
  constructor(readonly text: string) {}
}

const literal = (value: unknown, depth = 1): string => {
  if (value instanceof Code) return value.text;
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const pad = "    ".repeat(depth + 1);
  const end = "    ".repeat(depth);
  const entries = Array.isArray(value)
    ? value.map((entry) => literal(entry, depth + 1))
    : Object.entries(value).map(([name, entry]) => `${JSON.stringify(name)}: ${literal(entry, depth + 1)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const line = entries.join(", ");
  if (line.length < 70 && !line.includes("\n")) return `${open}${line}${close}`;
  return `${open}\n${entries.map((entry) => `${pad}${entry},\n`).join("")}${end}${close}`;
};

function textsOf(cell: Cell): string[] {
  return Array.isArray(cell) && cell.every((entry) => typeof entry === "string") ? (cell as string[]) : [typeof cell === "object" ? JSON.stringify(cell) : String(cell)];
}

/** The files of a form, by input: names as the fields show them. */
export function filesOf(inputs: Input[], form: Form): [string, string][] {
  return inputs.filter(isMedia).flatMap((input) => {
    const field = form[input.name];
    return !field || field.out ? [] : field.media.map((item): [string, string] => [input.name, item.name]);
  });
}

export function callOf(run: Run, row: Row, form: Form, path: string, more: Record<string, boolean>): Call {
  const files = filesOf(run.inputs, form);
  const values = Object.entries(row).filter(([name]) => !files.some(([input]) => input === name));
  return { path, files, row: Object.fromEntries(values), run: run.name, more };
}

const OPTIONS = ["run", "rows", "probabilities", "shares"]; // parts of a form that are no inputs

/** Of the routes, only /predict reads forms; the others read files in base64. */
const isForm = ({ path, files, row }: Call): boolean =>
  path === "/predict" && files.length > 0 && ![...Object.keys(row), ...files.map(([name]) => name)].some((name) => OPTIONS.includes(name));

/** The parts of a form that are no files, several with one name for a list. */
function partsOf({ run, more, row }: Call): [string, string][] {
  const flags = Object.entries(more).map(([name, on]): [string, string] => [name, String(on)]);
  const cells = Object.entries(row).flatMap(([name, cell]) => textsOf(cell).map((text): [string, string] => [name, text]));
  return [["run", run], ...flags, ...cells];
}

/** The JSON of a request, with `media` for what a file becomes. */
function bodyOf({ run, path, row, files, more }: Call, media: (file: string) => unknown): Record<string, unknown> {
  const cells: Record<string, unknown> = { ...row };
  for (const [input, file] of files) {
    const cell = { base64: media(file) };
    cells[input] = input in cells ? [cells[input], cell].flat() : cell;
  }
  return path === "/explain" ? { run, row: cells } : { run, rows: [cells], ...more };
}

const BEARER = "Authorization: Bearer $POLYMODAL_TOKEN";
const JSON_TYPE = "-H 'Content-Type: application/json'";

/** JSON in a here-document, where the shell puts the files in; what else it would replace is escaped. */
function hereDocument(call: Call): string {
  const names: string[] = [];
  const body = JSON.stringify(bodyOf(call, (file) => `\u0000${names.push(file) - 1}\u0000`));
  const escaped = body.replace(/[\\$`]/g, "\\$&").replace(/\\\\u0000(\d+)\\\\u0000/g, (_, at) => `$(base64 < ${shell(names[Number(at)]!)} | tr -d '\\n')`);
  return `-d @- <<END\n${escaped}\nEND`;
}

export function curl(origin: string, call: Call, token: boolean): string {
  const lines = [`curl ${origin}${call.path}`];
  if (token) lines.push(`-H "${BEARER}"`);
  if (isForm(call)) {
    for (const [name, text] of partsOf(call)) lines.push(`--form-string ${shell(`${name}=${text}`)}`);
    for (const [name, file] of call.files) lines.push(`-F ${shell(`${name}=@"${file.replaceAll('"', String.raw`\"`)}"`)}`);
  } else if (call.files.length) lines.push(JSON_TYPE, hereDocument(call));
  else lines.push(JSON_TYPE, `-d ${shell(JSON.stringify(bodyOf(call, String)))}`);
  return lines.join(" \\\n  ");
}

/** Settings of `requests.post` for a form. */
function formSettings(call: Call): string[] {
  const line = (inner: string) => `        (${inner}),\n`;
  const data = partsOf(call).map(([name, text]) => line(`${JSON.stringify(name)}, ${JSON.stringify(text)}`));
  const files = call.files.map(([name, file]) => line(`${JSON.stringify(name)}, open(${JSON.stringify(file)}, "rb")`));
  return [`data=[\n${data.join("")}    ]`, `files=[\n${files.join("")}    ]`];
}

export function python(origin: string, call: Call, token: boolean): string {
  const encoded = !isForm(call) && call.files.length > 0;
  const settings = isForm(call) ? formSettings(call) : [`json=${literal(bodyOf(call, (file) => new Code(`encoded(${JSON.stringify(file)})`)))}`];
  if (token) settings.push(`headers={"Authorization": f"Bearer {os.environ['POLYMODAL_TOKEN']}"}`);
  const read = ["def encoded(path):", "    with open(path, \"rb\") as file:", "        return base64.b64encode(file.read()).decode()", "", ""];
  return [
    ...(encoded ? ["import base64"] : []), ...(token ? ["import os"] : []), ...(encoded || token ? [""] : []),
    "import requests", "", ...(encoded ? ["", ...read] : []), "response = requests.post(",
    `    "${origin}${call.path}",`, ...settings.map((setting) => `    ${setting},`), ")",
    "response.raise_for_status()", "print(response.json())",
  ].join("\n");
}

export function chatPython(origin: string, run: Run, token: boolean): string {
  const key = token ? `os.environ["POLYMODAL_TOKEN"]` : `"unused"`;
  return [
    ...(token ? ["import os", ""] : []), "from openai import OpenAI", "",
    `client = OpenAI(base_url="${origin}/v1", api_key=${key})`,
    "answer = client.chat.completions.create(",
    `    model=${JSON.stringify(run.name)},`, `    messages=[{"role": "user", "content": "Hello"}],`, ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
}
