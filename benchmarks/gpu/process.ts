/**
 * Each section is a process of its own: a driver that hangs, a device that is lost or a crash of native code ends one section, and the others
 * begin afresh. What a section found before it ended is kept.
 */
import { fork } from "node:child_process";
import { openAdapter } from "./adapter.ts";
import { reason, type Card, type Row, type SectionResult, type State } from "./row.ts";
import { SECTIONS, type Choices, type Section } from "./sections.ts";

/** What the process of a section is told. */
export interface Job extends Choices {
  readonly section: string;
  readonly seconds: number;
  readonly small: boolean;
  readonly card: Card;
}

type Message =
  | { readonly kind: "row"; readonly row: Row }
  | { readonly kind: "cut"; readonly why: string }
  | { readonly kind: "end"; readonly failed?: string };

/** No new work is begun after this part of the time, so that what was begun can end. */
const SOFT = 0.8;

let running: ReturnType<typeof fork> | undefined;

/** Ends the section that runs, with everything that it started. */
export function stopRunning(): void {
  if (running?.pid === undefined) return;
  try {
    process.kill(-running.pid, "SIGKILL");
  } catch {
    // it has ended by itself
  }
}

/** @param seconds its process is ended after these */
export function runSection(
  { name }: Section,
  job: Omit<Job, "section">,
  onRow: (row: Row) => void,
): Promise<SectionResult> {
  const began = performance.now();
  const child = fork(process.argv[1]!, ["--job", JSON.stringify({ ...job, section: name })], { detached: true });
  running = child;
  const rows: Row[] = [];
  let state: State | undefined;
  let why: string | undefined;
  let late = false;
  child.on("message", (message: Message) => {
    if (message.kind === "row") {
      rows.push(message.row);
      onRow(message.row);
    } else if (message.kind === "cut") {
      state = "cut";
      why = message.why;
    } else {
      state = message.failed === undefined ? (state ?? "done") : "failed";
      why = message.failed ?? why;
    }
  });
  const timer = setTimeout(() => {
    late = true;
    stopRunning();
  }, 1000 * job.seconds);
  return new Promise((done) => {
    const end = (ended: string): void => {
      clearTimeout(timer);
      running = undefined;
      const seconds = (performance.now() - began) / 1000;
      if (late) [state, why] = ["cut", `stopped after ${job.seconds.toFixed(0)} s, in the middle of something`];
      else if (state === undefined) [state, why] = ["failed", `its process ended with ${ended}`];
      done({ name, state, ...(why === undefined ? {} : { why }), seconds, rows });
    };
    child.on("error", (error) => {
      end(error.message);
    });
    // not at `exit`: messages may still be on their way
    child.on("close", (code, signal) => {
      end(signal ?? `code ${code}`);
    });
  });
}

/** The other side. */
export async function work({ section: wanted, seconds, small, card, ...choices }: Job): Promise<void> {
  const began = performance.now();
  const send = (message: Message): Promise<void> => new Promise((done) => process.send!(message, () => done()));
  const section = SECTIONS.find(({ name }) => name === wanted)!;
  let failed: string | undefined;
  try {
    await section.run(
      {
        small,
        card,
        report: (row) => void send({ kind: "row", row }),
        cut: (why) => void send({ kind: "cut", why }),
        spent: (part = 1) => performance.now() - began > 1000 * seconds * SOFT * part,
      },
      choices,
    );
  } catch (error) {
    failed = reason(error);
  }
  await send({ kind: "end", ...(failed === undefined ? {} : { failed }) });
  process.exit(0);
}

/** @throws Error where there is no adapter */
export async function findCard(): Promise<Card> {
  return (await openAdapter()).card;
}
