/** The system's own controls: the lock screen, a headset's button, the keyboard's media keys. */

/** `mark.svg` as a browser draws it: a lock screen shows no vectors. */
const ARTWORK = [{ src: "/static/img/mark.png", sizes: "512x512", type: "image/png" }];

/**
 * @typedef {object} Controls
 * @property {() => void} play
 * @property {() => void} pause
 * @property {() => void} live
 * @property {(seconds: number) => void} step
 */

export class SystemControls {
  #session = "mediaSession" in navigator ? navigator.mediaSession : null;
  #step;
  #said = "";
  #steps = false;

  /** @param {Controls} controls */
  constructor({ play, pause, live, step }) {
    this.#on("play", play);
    this.#on("pause", pause);
    this.#on("stop", pause);
    this.#on("nexttrack", live); // what a lock screen has for "on to the end"
    this.#step = step;
  }

  /** Whether there is a past to go back to: no button that does nothing. @param {boolean} wanted */
  offerSteps(wanted) {
    if (wanted === this.#steps) return;
    this.#steps = wanted;
    this.#on("seekbackward", wanted ? ({ seekOffset }) => this.#step(-(seekOffset ?? 15)) : null);
    this.#on("seekforward", wanted ? ({ seekOffset }) => this.#step(seekOffset ?? 15) : null);
  }

  /**
   * @param {MediaSessionAction} action
   * @param {((details: MediaSessionActionDetails) => void) | null} does
   */
  #on(action, does) {
    try {
      this.#session?.setActionHandler(action, does);
    } catch {
      // an action that this browser does not know
    }
  }

  /**
   * @param {string} title
   * @param {string} artist
   * @param {MediaSessionPlaybackState} playback
   */
  show(title, artist, playback) {
    if (!this.#session) return;
    this.#session.playbackState = playback;
    if (this.#said === `${title}\n${artist}`) return; // a lock screen flickers each time
    this.#said = `${title}\n${artist}`;
    this.#session.metadata = new MediaMetadata({ title, artist, artwork: ARTWORK });
  }
}
