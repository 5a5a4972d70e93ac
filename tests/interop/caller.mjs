/**
 * A caller made of libwebrtc: sends a tone and says how loud others are.
 *
 * node caller.mjs HZ LISTEN_HZ…; lines of JSON: out {offer}, {state}, {levels}, in {answer}.
 * Ends with its standard input.
 */
import { createInterface } from "node:readline";
import wrtc from "@roamhq/wrtc";

const RATE = 48000;
const STEP = RATE / 100; // libwebrtc takes 10 ms at a time
const [hertz, ...others] = process.argv.slice(2).map(Number);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const source = new wrtc.nonstandard.RTCAudioSource();
const track = source.createTrack();
const peer = new wrtc.RTCPeerConnection();
peer.addTrack(track, new wrtc.MediaStream([track]));

let at = 0;
let due = performance.now();
function feed() {
  for (; due <= performance.now(); due += 10) {
    const samples = new Int16Array(STEP);
    for (let i = 0; i < STEP; i += 1, at += 1) samples[i] = 8192 * Math.sin((2 * Math.PI * hertz * at) / RATE);
    source.onData({ samples, sampleRate: RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames: STEP });
  }
}
setInterval(feed, 5);

/** Level of one frequency in dB below a full-scale sine. */
function levelOf(samples, rate, wanted) {
  let re = 0;
  let im = 0;
  let weight = 0;
  samples.forEach((sample, n) => {
    const window = 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / samples.length);
    const phase = (2 * Math.PI * wanted * n) / rate;
    re += window * sample * Math.cos(phase);
    im += window * sample * Math.sin(phase);
    weight += window;
  });
  return 20 * Math.log10(Math.max((2 * Math.hypot(re, im)) / weight, 0.001) / 32768);
}

let heard = [];
peer.ontrack = ({ track: remote }) => {
  const sink = new wrtc.nonstandard.RTCAudioSink(remote);
  sink.ondata = ({ samples, sampleRate, channelCount }) => {
    for (let i = 0; i < samples.length; i += channelCount) heard.push(samples[i]);
    if (heard.length < sampleRate / 2) return;
    const taken = heard;
    heard = [];
    say({ levels: Object.fromEntries([hertz, ...others].map((f) => [f, levelOf(taken, sampleRate, f)])) });
  };
};
peer.onconnectionstatechange = () => say({ state: peer.connectionState });

createInterface({ input: process.stdin })
  .on("line", async (line) => {
    const { answer, offer } = JSON.parse(line);
    if (answer) await peer.setRemoteDescription({ type: "answer", sdp: answer });
    if (offer) await makeOffer(offer);
  })
  .on("close", () => process.exit(0));

async function makeOffer(options) {
  await peer.setLocalDescription(await peer.createOffer(options));
  while (peer.iceGatheringState !== "complete") await new Promise((resolve) => setTimeout(resolve, 5));
  say({ offer: peer.localDescription.sdp });
}
await makeOffer({});
