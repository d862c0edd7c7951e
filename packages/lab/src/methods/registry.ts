/** The methods there are: a file beside this one and a line here; programs and plugins add theirs with `methods.register`. */
import type { Method } from "../records/method.ts";
import { Registry } from "../records/registry.ts";
import { adalora } from "./adalora.ts";
import { full, head } from "./checkpoint.ts";
import { ia3 } from "./ia3.ts";
import { lora } from "./lora.ts";
import { vera } from "./vera.ts";

export const methods: Registry<Method> = new Registry<Method>("method", [head, lora, adalora, ia3, vera, full]);
