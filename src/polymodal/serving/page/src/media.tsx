// Pictures, sound and clips of one input: by file, drop, paste, camera or microphone.
import { useSignal } from "@preact/signals";
import { Camera, Microphone } from "./capture";
import type { ControlProps } from "./field";
import { readFile, type Media } from "./form";
import { bytes } from "./numbers";
import { messageOf } from "./service";
import { mostBytes, notice } from "./state";

const NOUN: Record<string, string> = { image: "picture", audio: "sound file", video: "clip" };

export function Preview({ item, kind, name }: { item: Media; kind: string; name: string }) {
  if (kind === "image") return <img src={item.uri} alt={`${name}: ${item.name}`} />;
  if (kind === "audio") return <audio src={item.uri} controls aria-label={`${name}: ${item.name}`} />;
  return <video src={item.uri} controls muted playsInline aria-label={`${name}: ${item.name}`} />;
}

function Items({ field, input, change }: Pick<ControlProps, "field" | "input" | "change">) {
  return (
    <ul class={`items ${input.modality}`}>
      {field.media.map((item, at) => (
        <li key={item.uri.slice(-64) + at}>
          <Preview item={item} kind={input.modality} name={input.name} />
          <div class="caption">
            <span class="soft">{item.name}, {bytes(item.size)}</span>
            <button type="button" class="quiet" aria-label={`Remove ${item.name}`}
              onClick={() => change({ media: field.media.filter((other) => other !== item) })}>Remove</button>
          </div>
        </li>
      ))}
    </ul>
  );
}

export function MediaControl({ input, field, id, change, described }: ControlProps) {
  const over = useSignal(false);
  const capturing = useSignal(false);
  const accept = input.accept ?? `${input.modality}/*`;
  const noun = NOUN[input.modality] ?? "file";
  const add = async (files: Iterable<File>) => {
    try {
      const read = await Promise.all([...files].map((file) => readFile(file, accept, mostBytes.value)));
      if (read.length === 0) return;
      change({ media: [...field.media, ...read] });
      notice.value = `${read.map((item) => item.name).join(", ")} added to ${input.name}.`;
    } catch (error) {
      change({ error: messageOf(error) });
    }
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    void add(event.dataTransfer?.files ?? []);
  };
  const paste = (event: ClipboardEvent) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    void add(files);
  };
  const device = input.modality === "image" ? "Camera" : input.modality === "audio" ? "Microphone" : "";
  const done = (file: File | null) => {
    capturing.value = false;
    if (file) void add([file]);
  };
  return (
    <div
      class={`drop${over.value ? " over" : ""}`} id={id} role="group" tabIndex={0} aria-labelledby={`${id}-label`}
      onPaste={paste} onDrop={drop} onDragLeave={() => (over.value = false)}
      onDragOver={(event) => { event.preventDefault(); over.value = true; }} {...described}
    >
      {field.media.length > 0 && <Items field={field} input={input} change={change} />}
      {capturing.value
        ? (device === "Camera" ? <Camera done={done} /> : <Microphone done={done} />)
        : (
          <div class="sources">
            <label class="button">
              {field.media.length ? "Add another file" : "Choose a file"}
              <input
                type="file" class="unseen" accept={accept} multiple aria-label={`Choose a ${noun} for ${input.name}`}
                onChange={(event) => { void add(event.currentTarget.files ?? []); event.currentTarget.value = ""; }}
              />
            </label>
            {device && (
              <button type="button" aria-label={`${device} for ${input.name}`} onClick={() => (capturing.value = true)}>
                {device}
              </button>
            )}
            <span class="soft hint">or drop or paste a {noun} here</span>
          </div>
        )}
    </div>
  );
}
