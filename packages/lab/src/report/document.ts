/** What a report says, before it is a page or Markdown: headings, paragraphs, tables, figures. Texts are plain; whoever writes them out escapes. */
import type { Drawing } from "./figures/drawing.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** Its cells are names that are not broken. */
  readonly whole?: boolean;
}

export type Tone = "supported" | "contradicted" | "not decidable";

export type Block =
  | { readonly kind: "heading"; readonly level: 2 | 3; readonly text: string; readonly id: string }
  | { readonly kind: "paragraph"; readonly text: string; readonly role?: "lead" | "note" | "alarm" }
  | { readonly kind: "list"; readonly items: readonly (readonly [term: string, text: string])[] }
  | {
      /** Claims with what came of them, for who reads one thing only. */
      readonly kind: "verdicts";
      readonly items: readonly {
        readonly says: string;
        readonly tone: Tone;
        readonly verdict: string;
        /** One for each part of the claim. */
        readonly texts: readonly string[];
        /** What the names in them stand for. */
        readonly names: string;
        /** Of the paragraph that has all of it. */
        readonly id: string;
      }[];
    }
  | {
      readonly kind: "table";
      readonly caption: string;
      readonly columns: readonly Column[];
      /** The first cell names the row. */
      readonly rows: readonly (readonly string[])[];
    }
  | {
      readonly kind: "figure";
      /** File name without its ending. */
      readonly name: string;
      readonly drawing: Drawing;
      readonly caption: string;
    }
  /** Small ones side by side. */
  | {
      readonly kind: "figures";
      readonly caption: string;
      readonly figures: readonly (readonly [name: string, drawing: Drawing])[];
    }
  /** What is looked up and not read. */
  | { readonly kind: "details"; readonly summary: string; readonly blocks: readonly Block[] };

export interface ReportDocument {
  readonly title: string;
  readonly blocks: readonly Block[];
}

/** All figures, in order. */
export function figuresOf(blocks: readonly Block[]): (readonly [name: string, drawing: Drawing])[] {
  return blocks.flatMap((block) => {
    if (block.kind === "figure") return [[block.name, block.drawing] as const];
    if (block.kind === "figures") return block.figures;
    return block.kind === "details" ? figuresOf(block.blocks) : [];
  });
}
