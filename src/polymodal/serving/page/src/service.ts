// Requests to the service, and its errors as one class.
import type { Answer, Description, Fault, Hit, Row, Sample } from "./contract";

export class ServiceError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly faults: Fault[] = [],
  ) {
    super(message);
  }
}

export const isAbort = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function failure(response: Response): Promise<ServiceError> {
  const wait = response.headers.get("Retry-After");
  try {
    const { error } = await response.json();
    return new ServiceError(response.status, error.message, error.problems ?? []);
  } catch {
    const later = wait ? ` Try again in ${wait} s.` : "";
    return new ServiceError(response.status, `The service answered ${response.status} ${response.statusText}.${later}`);
  }
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new ServiceError(0, "The service does not answer. Is it still running?");
  }
  if (!response.ok) throw await failure(response);
  return response;
}

const json = (body: unknown, signal?: AbortSignal, accept = "application/json"): RequestInit => ({
  method: "POST",
  headers: { "Content-Type": "application/json", Accept: accept },
  body: JSON.stringify(body),
  signal,
});

export const post = (path: string, body: unknown, signal?: AbortSignal): Promise<Response> =>
  request(path, json(body, signal));

export const describe = async (): Promise<Description> => (await request("/runs")).json();

export const signIn = async (token: string): Promise<void> => void (await post("/session", { token }));

export async function samplesOf(run: string): Promise<Sample[]> {
  return (await (await request(`/runs/${encodeURIComponent(run)}/samples`)).json()).samples;
}

export const reportOf = (run: string): string => `/runs/${encodeURIComponent(run)}/report`;

export async function predict(
  run: string,
  row: Row,
  wanted: { probabilities?: boolean; shares?: boolean },
  signal?: AbortSignal,
): Promise<Answer> {
  const response = await post("/predict", { run, rows: [row], ...wanted }, signal);
  const [answer] = (await response.json()).answers as (Answer | { error: Fault })[];
  if (!answer) throw new ServiceError(500, "The service gave no answer to this row.");
  if ("error" in answer) throw new ServiceError(422, answer.error.message, [answer.error]);
  return answer;
}

export async function explanationPage(run: string, row: Row, signal?: AbortSignal): Promise<string> {
  return (await request("/explain", json({ run, row }, signal, "text/html"))).text();
}

export async function search(body: Record<string, unknown>, signal?: AbortSignal): Promise<Hit[]> {
  return (await (await post("/search", body, signal)).json()).hits;
}
