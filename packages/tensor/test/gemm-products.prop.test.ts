/** Kernels of several products against the interpreter: integers small enough that every order of sums gives the same bits. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { f32ToF16 } from "../src/math/half.ts";
import { interpretKernel } from "../src/ir/interpret.ts";
import { productsKernel, productSpecs } from "./support/products.ts";
import { array, compileKernel } from "./wasm-run.ts";

it("give the sums of their products, whichever accumulators these share and wherever the work is cut", () => {
  fc.assert(
    fc.property(
      productSpecs(4, 60),
      fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 }),
      (spec, cuts) => {
        const kernel = productsKernel(spec);
        const buffers = kernel.args.map(({ dtype, size }, i) => {
          const values = Float32Array.from({ length: size }, (_, j) =>
            dtype === "bool" ? (j * 7 + i) % 2 : ((j * 7 + 13 * i) % 11) - 5,
          );
          if (dtype === "f16") return f32ToF16(values);
          const data = array(dtype, size);
          data.set(values);
          return data;
        });
        const expected = buffers.map((b) => b.slice());
        interpretKernel(kernel, expected, { precision: "f32" });
        expect(compileKernel(kernel).run(buffers, cuts).at(-1)).toEqual(expected.at(-1));
      },
    ),
    { numRuns: 70 },
  );
});
