// The camera and the microphone of the device. A stream ends when its control leaves the page.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { wavOf } from "./wav";

const REFUSED: Record<string, string> = {
  NotAllowedError: "The browser did not allow it. Allow it beside the address of this page, then try again.",
  NotFoundError: "This device has none.",
  NotReadableError: "Another program uses it.",
};

const reasonOf = (error: unknown): string =>
  (error instanceof Error && REFUSED[error.name]) || (error instanceof Error ? error.message : String(error));

/** The stream of a device while the control is in the page; an error is given to `failed`. */
function useStream(wanted: MediaStreamConstraints, ready: (stream: MediaStream) => void, failed: (reason: string) => void) {
  useEffect(() => {
    let stream: MediaStream | undefined;
    let ended = false;
    const stop = () => stream?.getTracks().forEach((track) => track.stop());
    if (!navigator.mediaDevices) {
      failed("Browsers allow this only on https or on 127.0.0.1.");
      return;
    }
    navigator.mediaDevices.getUserMedia(wanted).then((given) => {
      stream = given;
      if (ended) stop();
      else ready(given);
    }, (error) => failed(reasonOf(error)));
    return () => {
      ended = true;
      stop();
    };
  }, []);
}

interface CaptureProps {
  done: (file: File | null) => void;
}

export function Camera({ done }: CaptureProps) {
  const video = useRef<HTMLVideoElement>(null);
  const live = useSignal(false);
  const error = useSignal("");
  useStream({ video: { facingMode: "environment" } }, (stream) => {
    if (video.current) video.current.srcObject = stream;
  }, (reason) => (error.value = reason));
  const take = () => {
    const { videoWidth: width, videoHeight: height } = video.current!;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d")!.drawImage(video.current!, 0, 0);
    canvas.toBlob((blob) => done(blob && new File([blob], "camera.png", { type: "image/png" })), "image/png");
  };
  return (
    <div class="capture">
      {!error.value && (
        <video ref={video} autoplay muted playsInline aria-label="Picture of the camera" onPlaying={() => (live.value = true)} />
      )}
      {error.value && <p class="error" role="alert">{error}</p>}
      <div class="sources">
        {!error.value && <button type="button" class="primary" disabled={!live.value} onClick={take}>Take the picture</button>}
        <button type="button" onClick={() => done(null)}>Cancel</button>
      </div>
    </div>
  );
}

export function Microphone({ done }: CaptureProps) {
  const recorder = useRef<MediaRecorder | null>(null);
  const begun = useRef(0);
  const seconds = useSignal(0);
  const state = useSignal<"wait" | "record" | "convert">("wait");
  const error = useSignal("");
  const finish = async (chunks: Blob[]) => {
    try {
      done(await wavOf(new Blob(chunks)));
    } catch (reason) {
      error.value = reasonOf(reason);
    }
  };
  useStream({ audio: true }, (stream) => {
    const chunks: Blob[] = [];
    recorder.current = new MediaRecorder(stream);
    recorder.current.ondataavailable = ({ data }) => chunks.push(data);
    recorder.current.onstop = () => void (state.value === "convert" && finish(chunks));
    recorder.current.onstart = () => {
      begun.current = performance.now();
      state.value = "record";
    };
    recorder.current.start();
  }, (reason) => (error.value = reason));
  useEffect(() => {
    // Counted from the start of the recording, which comes later than the control.
    const clock = setInterval(() => {
      if (state.value === "record") seconds.value = Math.floor((performance.now() - begun.current) / 1000);
    }, 100);
    return () => clearInterval(clock);
  }, []);
  const stop = () => {
    state.value = "convert";
    recorder.current?.stop();
  };
  return (
    <div class="capture">
      {error.value ? <p class="error" role="alert">{error}</p> : (
        <p class="recording"><span class="dot" aria-hidden="true" />
          {state.value === "record" ? `Recording, ${seconds.value} s` : state.value === "wait" ? "Waiting for the microphone …" : "Writing the file …"}
        </p>
      )}
      <div class="sources">
        {!error.value && <button type="button" class="primary" disabled={state.value !== "record"} onClick={stop}>Stop</button>}
        <button type="button" onClick={() => done(null)}>Cancel</button>
      </div>
    </div>
  );
}
