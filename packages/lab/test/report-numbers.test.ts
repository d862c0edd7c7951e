/** Numbers of a report in words. */
import { describe, expect, it } from "vitest";
import { bytesRange, metricScale } from "../src/report/numbers.ts";

describe("numbers in words", () => {
  it("give what scatters as many digits as its mean has", () => {
    expect(metricScale("perplexity").spread(516.1372, [513.66, 518.6152])).toBe("516.14 ± 2.48");
    expect(metricScale("perplexity").spread(21.5, [21.25, 21.75])).toBe("21.5000 ± 0.2500");
    expect(metricScale("accuracy").spread(0.855, [0.8467, 0.8633])).toBe("85.50 ± 0.83");
  });

  it("say a range of bytes once where both ends read alike", () => {
    const MIB = 1024 ** 2;
    expect(bytesRange([194.79 * MIB, 195.04 * MIB])).toBe("194.8\u00a0MiB to 195.0\u00a0MiB");
    expect(bytesRange([193.9 * MIB, 193.92 * MIB])).toBe("193.9\u00a0MiB");
  });
});
