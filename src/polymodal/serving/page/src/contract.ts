// What the service answers, as this page reads it.

export type Modality =
  | "text" | "number" | "date" | "category" | "categories" | "image" | "audio" | "video" | "sequence";

export interface Input {
  name: string;
  modality: Modality | string;
  choices: (string | number)[] | null;
  accept: string | null;
}

export interface Target {
  name: string;
  task: string;
  classes: (string | number)[] | null;
  unit: string | null;
}

export interface Run {
  name: string;
  kind: "heads" | "space" | "language";
  metric: { name: string; value: number; rows: number } | null;
  targets: Target[];
  inputs: Input[];
  attachments?: string[]; // types of files that messages may hold
  capabilities: string[];
  samples: number;
}

export interface Description {
  version: string;
  token?: boolean; // whether requests need one
  limits: Record<string, number>;
  runs: Run[];
}

export type Cell = string | number | string[] | number[][] | null;
export type Row = Record<string, Cell>;
export type Scalar = string | number | boolean | null;

export interface Answer {
  values: Record<string, Scalar | Scalar[]>;
  probabilities?: Record<string, Record<string, number>>;
  intervals?: Record<string, [number, number]>;
  shares?: Record<string, Record<string, number>>;
  missing?: string[];
  warnings?: string[];
}

export interface Fault {
  message: string;
  row?: number | null;
  input?: string | null;
}

export interface Sample {
  row: Row;
  answer: Answer;
}

export interface Hit {
  row: number | string;
  score: number;
  input?: string | null;
  values: Record<string, unknown>;
  preview: string | null;
}
