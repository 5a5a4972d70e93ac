// Keeps what a stream of a page plays, with the wall clock beside it. Called with "in" (the microphone
// of a join page) or "out" (what a listen page's element plays).
async (way) => {
  const source = `
    registerProcessor("tap", class extends AudioWorkletProcessor {
      chunk = new Float32Array(4800);
      at = 0;
      process([[samples]]) {
        if (this.at === 0) { this.frame = currentFrame; this.ms = Date.now(); }
        this.chunk.set(samples ?? new Float32Array(128), this.at);
        this.at += 128;
        if (this.at + 128 > this.chunk.length) {
          this.port.postMessage({ frame: this.frame, ms: this.ms, pcm: this.chunk.slice(0, this.at) });
          this.at = 0;
        }
        return true;
      }
    });`;
  const page = window.roomtone;
  const stream = way === "in" ? new MediaStream([page.localTrack]) : page.audio.captureStream();
  const context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
  await context.resume();
  const module = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  await context.audioWorklet.addModule(module);
  const node = new AudioWorkletNode(context, "tap", { numberOfInputs: 1, channelCount: 1, channelCountMode: "explicit" });
  const chunks = [];
  node.port.onmessage = ({ data }) => chunks.push(data);
  context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  window.tap = {
    begin: () => void chunks.splice(0),
    // Sixteen bits are enough to find a chirp; base64 is what crosses to the bench fastest.
    take: () => {
      const taken = chunks.splice(0);
      const count = taken.reduce((sum, one) => sum + one.pcm.length, 0);
      const pcm = new Int16Array(count);
      let at = 0;
      for (const one of taken) for (const sample of one.pcm) pcm[at++] = Math.max(-1, Math.min(1, sample)) * 32767;
      const bytes = new Uint8Array(pcm.buffer);
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      return { pcm: btoa(text), frames: taken.map((one) => one.frame), ms: taken.map((one) => one.ms) };
    },
  };
};
