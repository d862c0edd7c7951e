/**
 * Everything that training changes, as one thing that is saved and one thing that resumes. Each part is `Stateful`; a trainer that was made
 * anew from the same configuration and given a state goes on to the same bits.
 */
import {
  InvariantError,
  LowrankError,
  quote,
  type FileEntry,
  type Parameter,
  type StoredTensor,
} from "@lowrank/tensor";

/** What JSON can say; NaN and infinities cannot be in it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A state as it is given: tensors are read one at a time, all of them before the training goes on. */
export interface State {
  readonly values: Json;
  readonly tensors: ReadonlyMap<string, FileEntry>;
}

/** A state as it is taken back: small values, and tensors by name. */
export interface Saved {
  readonly values: Json;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

export interface Stateful {
  /** Asked between two steps. */
  state(): State;
  /** @throws LowrankError naming what the state lacks */
  restore(saved: Saved): void | Promise<void>;
}

const NONE: ReadonlyMap<string, FileEntry> = new Map();

/** A part without tensors. */
export function valuesPart<T extends Json>(get: () => T, set: (values: T) => void): Stateful {
  return {
    state: () => ({ values: get(), tensors: NONE }),
    restore: ({ values }) => {
      set(values as T);
    },
  };
}

/** A part of parameters by name, and the small values beside them. */
export function parametersPart<T extends Json>(
  parameters: () => ReadonlyMap<string, Parameter>,
  get: () => T,
  set: (values: T) => void,
): Stateful {
  return {
    state() {
      const tensors = new Map<string, FileEntry>();
      for (const [name, parameter] of parameters()) {
        const { dtype, shape } = parameter;
        tensors.set(name, { dtype, shape, load: () => parameter.data() });
      }
      return { values: get(), tensors };
    },
    restore({ values, tensors }) {
      for (const [name, parameter] of parameters()) {
        const stored = tensors.get(name);
        if (stored === undefined || stored.shape.join() !== parameter.shape.join())
          throw new LowrankError(
            "FormatError",
            `the state has ${stored === undefined ? "no" : "another shape of the"} tensor ${quote(name)}; it is another configuration's`,
          );
        parameter.write(stored.data);
      }
      set(values as T);
    },
  };
}

/** Named parts as one state; tensors are called `part/name`. */
export class TrainingState implements Stateful {
  readonly parts: Readonly<Record<string, Stateful>>;

  constructor(parts: Readonly<Record<string, Stateful>>) {
    const bad = Object.keys(parts).find((name) => name.includes("/"));
    if (bad !== undefined) throw new InvariantError(`a part of the state is called ${quote(bad)}`);
    this.parts = parts;
  }

  state(): State {
    const values: Record<string, Json> = {};
    const tensors = new Map<string, FileEntry>();
    for (const [part, stateful] of Object.entries(this.parts)) {
      const saved = stateful.state();
      values[part] = saved.values;
      for (const [name, tensor] of saved.tensors) tensors.set(`${part}/${name}`, tensor);
    }
    return { values, tensors };
  }

  /** @throws LowrankError where the state has other parts than this training */
  async restore({ values, tensors }: Saved): Promise<void> {
    const [have, want] = [Object.keys(values as object), Object.keys(this.parts)];
    const odd = [...want.filter((part) => !have.includes(part)), ...have.filter((part) => !want.includes(part))];
    if (odd.length > 0)
      throw new LowrankError(
        "FormatError",
        `the state has the parts ${have.join(", ")}, and this training ${want.join(", ")}; it is another configuration's`,
      );
    for (const [part, stateful] of Object.entries(this.parts)) {
      const own = [...tensors].flatMap(([name, tensor]): [string, StoredTensor][] =>
        name.startsWith(`${part}/`) ? [[name.slice(part.length + 1), tensor]] : [],
      );
      await stateful.restore({ values: (values as Readonly<Record<string, Json>>)[part]!, tensors: new Map(own) });
    }
  }
}
