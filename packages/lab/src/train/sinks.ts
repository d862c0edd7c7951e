/** The sinks of a run as one. What writes the run's own files may fail the run; who was asked for besides may not. */
import type { RunFacts, Sink, SinkPlace, SinkRecord } from "../records/sink.ts";

/** What is opened for each run. */
export interface SinkChoice {
  /** Write the run's own files. */
  readonly local: readonly SinkRecord[];
  /** Asked for by name. */
  readonly others: readonly SinkRecord[];
}

/** Longest that the end of a run waits for somebody who was asked for. */
const GUEST_SECONDS = 10;

export function openSinks({ local, others }: SinkChoice, place: SinkPlace): Sink {
  const own = local.map((record) => record.open(place));
  const guests = new Map<string, Sink>();
  const leave = (name: string, error: unknown): void => {
    guests.delete(name);
    place.say(`sink ${name}: ${error instanceof Error ? error.message : String(error)}; the run goes on without it`);
  };
  for (const record of others) {
    try {
      guests.set(record.name, record.open(place));
    } catch (error) {
      leave(record.name, error);
    }
  }
  const each = (tell: (sink: Sink) => void): void => {
    own.forEach(tell);
    for (const [name, sink] of guests) {
      try {
        tell(sink);
      } catch (error) {
        leave(name, error);
      }
    }
  };
  const finishGuest = async (name: string, sink: Sink, outcome: Parameters<Sink["finish"]>[0]): Promise<void> => {
    try {
      if (!(await within(GUEST_SECONDS, sink.finish(outcome))))
        place.say(`sink ${name}: had not finished after ${GUEST_SECONDS} s, and is left behind`);
    } catch (error) {
      leave(name, error);
    }
  };
  return {
    start: (run: RunFacts) => each((sink) => sink.start(run)),
    scalar: (step, values) => each((sink) => sink.scalar(step, values)),
    artifact: (name, content) => each((sink) => sink.artifact(name, content)),
    flush: () => each((sink) => sink.flush?.()),
    async finish(outcome) {
      // the run's own files are closed at once, whoever waits for a server
      for (const sink of own) await sink.finish(outcome);
      await Promise.all([...guests].map(([name, sink]) => finishGuest(name, sink, outcome)));
    },
  };
}

/** Whether it ended in that time. */
async function within(seconds: number, what: void | Promise<void>): Promise<boolean> {
  if (what === undefined) return true;
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), 1000 * seconds);
  });
  return Promise.race([what.then(() => true), late]).finally(() => clearTimeout(timer));
}
