/** publint and arethetypeswrong on a tarball. */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { filterProblems } from "@arethetypeswrong/core/problems";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { none } from "./checks.mjs";

/** The profile `esm-only`: how Node imports and how bundlers do. `require` of older Nodes and resolution without `exports` are not promised. */
const RESOLUTIONS = ["node16-esm", "bundler"];

export const LINTERS = {
  async publint({ tarball, manifest }) {
    const bytes = tarball.buffer.slice(tarball.byteOffset, tarball.byteOffset + tarball.byteLength);
    const { messages } = await publint({ pack: { tarball: bytes }, strict: true });
    none(
      messages.map((message) => formatMessage(message, manifest)),
      "publint",
    );
  },

  async attw({ tarball }) {
    const analysis = await checkPackage(createPackageFromTarballData(tarball));
    if (analysis.types === false) throw new Error("arethetypeswrong finds no types");
    none(
      RESOLUTIONS.flatMap((resolutionKind) =>
        filterProblems(analysis, { resolutionKind }).map(
          ({ kind, entrypoint }) => `${kind} ${entrypoint ?? ""} (${resolutionKind})`,
        ),
      ),
      "arethetypeswrong",
    );
  },
};
