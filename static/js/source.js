/** Where a person's sound comes from: a microphone, a browser tab or a file. */

import { audioEngine } from "./meter.js";

/** A source that cannot be had; the text says what the person can do. */
export class SourceProblem extends Error {}

/**
 * @typedef {object} Source
 * @property {"microphone" | "tab" | "file"} kind
 * @property {string} label
 * @property {MediaStreamTrack} track
 * @property {() => void} stop  releases device, capture or file
 * @property {HTMLAudioElement} [player]  of a file
 */

/** Whether this page may ask for a microphone at all (browsers want https). */
export const hasMicrophoneAccess = () => navigator.mediaDevices?.getUserMedia !== undefined;

export const NEEDS_HTTPS =
  `Browsers give a microphone only to pages opened over https. Open this link with “https://” in front; ` +
  `if that does not load, ask the person who runs the server to start it with --tls self-signed. ` +
  `Playing a file works here too.`;

/**
 * @param {string} deviceId  "" or "default" follows the system
 * @param {boolean} raw  true: neither echo nor noise nor gain is touched
 * @returns {Promise<Source>}
 */
export async function openMicrophone(deviceId, raw) {
  if (!hasMicrophoneAccess()) throw new SourceProblem(NEEDS_HTTPS);
  const audio = {
    ...(deviceId && deviceId !== "default" ? { deviceId: { exact: deviceId } } : {}),
    echoCancellation: !raw,
    noiseSuppression: !raw,
    autoGainControl: !raw,
  };
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    const track = firstAudio(stream);
    return { kind: "microphone", label: track.label || "Microphone", track, stop: () => stopAll(stream) };
  } catch (error) {
    throw microphoneProblem(error);
  }
}

/** @param {unknown} error */
function microphoneProblem(error) {
  if (error instanceof SourceProblem) return error;
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError")
    return new SourceProblem(
      "Your browser does not let this page use the microphone. Press the icon left of the address, " +
        "set the microphone to “Allow”, then press “Allow microphone” again.",
    );
  if (name === "NotFoundError" || name === "OverconstrainedError")
    return new SourceProblem("No microphone is there. Plug one in, or share a tab or play a file instead.");
  if (name === "NotReadableError")
    return new SourceProblem("Another program holds this microphone. Close it there, or choose another one.");
  return new SourceProblem(`The microphone did not start (${name || error}). Try again or choose another one.`);
}

/** @returns {Promise<Source>} */
export async function openTab() {
  if (!navigator.mediaDevices?.getDisplayMedia)
    throw new SourceProblem(
      hasMicrophoneAccess() ? "This browser cannot share a tab's sound. Chrome and Edge can." : NEEDS_HTTPS,
    );
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({
      video: true, // browsers offer no capture of sound alone
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotAllowedError")
      throw new SourceProblem("Nothing was shared. Press “Choose a tab” when you want to.");
    throw new SourceProblem("This browser did not share a tab. Chrome and Edge can, with their sound.");
  }
  const track = stream.getAudioTracks()[0];
  if (!track) {
    stopAll(stream);
    throw new SourceProblem(
      "That was shared without its sound. Choose again, a tab rather than a window, " +
        "and tick “Also share tab audio”.",
    );
  }
  for (const picture of stream.getVideoTracks()) picture.enabled = false;
  return { kind: "tab", label: "A shared tab", track, stop: () => stopAll(stream) };
}

/**
 * The file starts when `player.play()` is called; its owner hears it too.
 * @param {File} file
 * @returns {Promise<Source>}
 */
export async function openFile(file) {
  const player = new Audio();
  const address = URL.createObjectURL(file);
  player.preload = "auto";
  player.src = address;
  try {
    await new Promise((resolve, reject) => {
      player.oncanplay = resolve;
      player.onerror = reject;
      player.load();
    });
  } catch {
    URL.revokeObjectURL(address);
    throw new SourceProblem(`This browser cannot play “${file.name}”. MP3, M4A, WAV, FLAC and Ogg usually work.`);
  }
  const engine = audioEngine();
  const sound = engine.createMediaElementSource(player);
  const out = engine.createMediaStreamDestination();
  sound.connect(out);
  sound.connect(engine.destination);
  const stop = () => {
    player.pause();
    sound.disconnect();
    stopAll(out.stream);
    URL.revokeObjectURL(address);
  };
  return { kind: "file", label: file.name, track: firstAudio(out.stream), stop, player };
}

/**
 * Microphones as the browser lists them; names are there only after permission.
 * @returns {Promise<MediaDeviceInfo[]>}
 */
export async function listMicrophones() {
  if (!hasMicrophoneAccess()) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind, deviceId }) => kind === "audioinput" && deviceId !== "");
}

/** @param {MediaStream} stream */
function firstAudio(stream) {
  const track = stream.getAudioTracks()[0];
  if (!track) throw new SourceProblem("This source has no sound.");
  return track;
}

/** @param {MediaStream} stream */
function stopAll(stream) {
  for (const track of stream.getTracks()) track.stop();
}
