/**
 * Keeps the picture up to date: at most one request in flight and one waiting, the newest. A request that waits takes
 * its content when it starts, so nothing old is ever sent. Time and the network are arguments.
 *
 * @typedef {{status?: number, retryAfter?: number | null, lost?: boolean}} Failure
 * @typedef {"idle" | "busy" | "paused"} State
 * @typedef {(signal: AbortSignal) => Promise<void>} Job
 */

/** A request in flight that would hold a finished stroke back for longer than this is given up, in ms. */
const PATIENCE = 150;
/** Where a picture takes longer than this, none is asked for before the stroke is finished, in ms. */
const DRAFTS_UNDER = 400;
const MAX_BACKOFF = 8000;

/**
 * What to do with a new wish for a picture.
 *
 * @param {{elapsed: number} | null} running
 * @param {number} typical  how long a picture takes, in ms
 * @param {boolean} final  whether the stroke is finished
 * @returns {"start" | "wait" | "replace" | "skip"}
 */
export function decide(running, typical, final) {
  if (!final && typical > DRAFTS_UNDER) return "skip";
  if (!running) return "start";
  return final && typical - running.elapsed > PATIENCE ? "replace" : "wait";
}

/**
 * How long to wait before the next try: what the server said, else twice as long each time.
 *
 * @param {Failure} failure
 * @param {number} failures  in a row, this one included
 * @returns {number | null} ms, or null where trying again cannot help
 */
export function retryDelay(failure, failures) {
  const again = failure.lost || failure.status === 429 || failure.status === 503 || failure.status === 504;
  if (!again) return null;
  const backoff = Math.min(MAX_BACKOFF, 500 * 2 ** (failures - 1));
  return failure.retryAfter ? failure.retryAfter * 1000 : backoff;
}

/** @template T */
export class Live {
  /**
   * @param {object} given
   * @param {(signal: AbortSignal) => Promise<T>} given.send  asks for the picture of the present
   * @param {(result: T, took: number) => void} given.onResult
   * @param {(failure: any, retryIn: number | null) => void} given.onFailure
   * @param {(state: State) => void} [given.onState]
   * @param {() => number} given.now  ms
   * @param {(ms: number, then: () => void) => () => void} given.later  answers how to call it off
   */
  constructor(given) {
    this.given = given;
    /** @type {{controller: AbortController, started: number, group: string | null} | null} */
    this.running = null;
    this.waiting = false;
    this.typical = 0;
    this.failures = 0;
    /** @type {(() => void) | null} */
    this.callOff = null;
    /** @type {{group: string, job: Job}[]} */
    this.background = [];
  }

  /** @param {boolean} [final] */
  request(final = true) {
    if (this.callOff) {
      this.waiting = true;
      return;
    }
    const busy = this.running?.group === null ? { elapsed: this.given.now() - this.running.started } : null;
    const decision = decide(busy, this.typical, final);
    if (decision === "skip") return;
    this.waiting = true;
    if (decision === "wait") return;
    // What runs in the background, or for too long, makes way; the waiting one starts when it has.
    this.running?.controller.abort();
    this.start();
  }

  /**
   * Work for when nothing else is asked for, instead of what its group had left. A request interrupts it; the
   * interrupted job is done again from its start.
   *
   * @param {string} group
   * @param {Job[]} jobs
   */
  whenIdle(group, jobs) {
    this.background = [...jobs.map((job) => ({ group, job })), ...this.background.filter((other) => other.group !== group)];
    if (this.running?.group === group) this.running.controller.abort();
    this.start();
  }

  /** Forgets the work for idle times and whatever is under way. */
  clear() {
    this.background = [];
    this.waiting = false;
    this.running?.controller.abort();
  }

  /** Tries again now rather than after the pause. */
  retryNow() {
    this.callOff?.();
    this.callOff = null;
    this.start();
  }

  start() {
    if (this.running || this.callOff) return;
    if (this.waiting) {
      this.waiting = false;
      void this.run((signal) => this.deliver(signal), null);
    } else if (this.background.length > 0) {
      const [{ group, job }] = this.background;
      void this.run((signal) => this.work(job, signal), group);
    } else {
      this.given.onState?.("idle");
    }
  }

  /**
   * @param {Job} task
   * @param {string | null} group  of work in the background
   */
  async run(task, group) {
    const controller = new AbortController();
    this.running = { controller, started: this.given.now(), group };
    if (group === null) this.given.onState?.("busy");
    try {
      await task(controller.signal);
      this.failures = 0;
    } catch (failure) {
      if (!controller.signal.aborted) this.fail(failure);
    }
    this.running = null;
    this.start();
  }

  /** @param {AbortSignal} signal */
  async deliver(signal) {
    const started = this.given.now();
    const result = await this.given.send(signal);
    if (signal.aborted) return;
    const took = this.given.now() - started;
    this.typical = this.typical === 0 ? took : 0.7 * this.typical + 0.3 * took;
    this.given.onResult(result, took);
  }

  /**
   * @param {Job} job
   * @param {AbortSignal} signal
   */
  async work(job, signal) {
    try {
      await job(signal);
    } catch (failure) {
      // Interrupted or put off, it is done again; refused for good, it is not.
      const lasting = retryDelay(/** @type {Failure} */ (failure), 1) === null;
      if (!signal.aborted && lasting) this.drop(job);
      throw failure;
    }
    this.drop(job);
  }

  /** @param {Job} job */
  drop(job) {
    this.background = this.background.filter((other) => other.job !== job);
  }

  /** @param {any} failure */
  fail(failure) {
    this.failures += 1;
    const delay = retryDelay(failure, this.failures);
    const background = this.running?.group !== null;
    if (background && delay === null) return;
    this.given.onFailure(failure, delay);
    if (delay === null) return;
    this.waiting ||= !background;
    this.given.onState?.("paused");
    this.callOff = this.given.later(delay, () => {
      this.callOff = null;
      this.start();
    });
  }
}
