/** The level of a track, measured in the page a few times a second. */

const WINDOW = 2048; // samples: 43 ms at 48 kHz
const EVERY_MS = 60;
export const FLOOR_DBFS = -60;

/** @type {AudioContext | null} */
let context = null;

/** The page's one audio engine; made at the first click, since browsers keep it asleep before. */
export function audioEngine() {
  context ??= new AudioContext({ latencyHint: "interactive" });
  if (context.state === "suspended") context.resume().catch(() => undefined);
  return context;
}

/**
 * Report a track's level (dBFS of the root mean square, FLOOR_DBFS at least) until stopped.
 * @param {MediaStreamTrack} track
 * @param {(levelDbfs: number) => void} onLevel
 * @returns {() => void} stop
 */
export function measure(track, onLevel) {
  const engine = audioEngine();
  const source = engine.createMediaStreamSource(new MediaStream([track]));
  const analyser = new AnalyserNode(engine, { fftSize: WINDOW });
  source.connect(analyser);
  const samples = new Float32Array(WINDOW);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    onLevel(levelDbfs(samples));
  }, EVERY_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
  };
}

/** @param {Float32Array} samples */
export function levelDbfs(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.max(FLOOR_DBFS, 10 * Math.log10(power + 1e-12));
}
