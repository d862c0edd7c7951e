/** A small model to put adapters on. */
import { Conv1D, Linear, Module, type Projection } from "@lowrank/nn";
import { ops, type Tensor } from "@lowrank/tensor";

class Block extends Module {
  up: Projection;
  down: Projection;
  constructor(size: number, conv: boolean) {
    super();
    this.up = conv ? new Conv1D(size, 2 * size) : new Linear(size, 2 * size);
    this.down = new Linear(2 * size, size);
  }
}

export class Toy extends Module {
  readonly layer: Block[];
  classifier: Projection;
  constructor(size: number, options: { layers?: number; conv?: boolean } = {}) {
    super();
    this.layer = Array.from({ length: options.layers ?? 2 }, () => new Block(size, options.conv ?? false));
    this.classifier = new Linear(size, 3);
  }

  forward(x: Tensor): Tensor {
    let h = x;
    for (const block of this.layer) h = ops.add(h, block.down.forward(ops.tanh(block.up.forward(h))));
    return this.classifier.forward(h);
  }
}
