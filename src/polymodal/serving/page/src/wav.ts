// A recording of the microphone as a WAV file: mono, 16 bits per sample, at the rate of the device.

function header(samples: number, rate: number): DataView {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples));
  const write = (at: number, text: string) => [...text].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  view.setUint32(4, 36 + 2 * samples, true);
  write(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  write(36, "data");
  view.setUint32(40, 2 * samples, true);
  return view;
}

function mono(sound: AudioBuffer): Float32Array {
  const mixed = new Float32Array(sound.length);
  for (let channel = 0; channel < sound.numberOfChannels; channel++) {
    sound.getChannelData(channel).forEach((value, i) => (mixed[i]! += value / sound.numberOfChannels));
  }
  return mixed;
}

export async function wavOf(recording: Blob): Promise<File> {
  const context = new AudioContext();
  try {
    const sound = await context.decodeAudioData(await recording.arrayBuffer());
    const view = header(sound.length, sound.sampleRate);
    mono(sound).forEach((value, i) => {
      const clipped = Math.max(-1, Math.min(1, value));
      view.setInt16(44 + 2 * i, Math.round(clipped * 32767), true);
    });
    return new File([view.buffer as ArrayBuffer], "recording.wav", { type: "audio/wav" });
  } finally {
    await context.close();
  }
}
