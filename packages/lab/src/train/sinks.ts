/** The sinks of a run as one. What writes the run's own files may fail the run; who was asked for besides may not. */
import type { RunFacts, Sink, SinkPlace, SinkRecord } from "../records/sink.ts";

/** What is opened for each run. */
export interface SinkChoice {
  /** Write the run's own files. */
  readonly local: readonly SinkRecord[];
  /** Asked for by name. */
  readonly others: readonly SinkRecord[];
}

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
  return {
    start: (run: RunFacts) => each((sink) => sink.start(run)),
    scalar: (step, values) => each((sink) => sink.scalar(step, values)),
    artifact: (name, content) => each((sink) => sink.artifact(name, content)),
    finish: (outcome) => each((sink) => sink.finish(outcome)),
  };
}
