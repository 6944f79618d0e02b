// Messages in the form of OpenAI: parts of their content, and the pieces of a streamed answer.
import { ServiceError } from "./service";

export type ContentPart =
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string } }
  | { type: "video_url"; video_url: { url: string } }
  | { type: "input_audio"; input_audio: { data: string; format: string } };

const FORMATS: Record<string, string> = { mpeg: "mp3", "x-wav": "wav", wave: "wav", "vnd.wave": "wav" };

export function partOf(uri: string): ContentPart {
  const [, kind, format] = /^data:(\w+)\/([\w.+-]+)/.exec(uri) ?? [];
  if (kind === "video") return { type: "video_url", video_url: { url: uri } };
  if (kind !== "audio") return { type: "image_url", image_url: { url: uri } };
  return { type: "input_audio", input_audio: { data: uri.slice(uri.indexOf(",") + 1), format: FORMATS[format!] ?? format! } };
}

/** The events of a stream: what follows `data:`, one line each. */
async function* events(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

/** The pieces of text of an answer. An error in the stream is thrown; so is an end without `[DONE]`. */
export async function* deltas(response: Response): AsyncGenerator<string> {
  for await (const event of events(response)) {
    if (event === "[DONE]") return;
    const { choices, error } = JSON.parse(event);
    if (error) throw new ServiceError(500, error.message);
    const piece = choices?.[0]?.delta?.content;
    if (piece) yield piece;
  }
  throw new ServiceError(0, "The answer ended early: the connection was closed.");
}
