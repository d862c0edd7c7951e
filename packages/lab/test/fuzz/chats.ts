/** Chat templates: programs, which are refused or end, and print the same twice. */
import { ChatTemplate } from "@lowrank/models/chat";
import { encoder, pick, textOf } from "./files.ts";
import type { FuzzFormat } from "./judge.ts";
import { mutateBytes } from "./mutate.ts";

const TEMPLATES: readonly string[] = [
  "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  `{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}{% set system = messages[0].content | trim %}{% set loop_messages = messages[1:] %}
{%- else %}{% set system = none %}{% set loop_messages = messages %}{% endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {%- if message.role == 'user' %}[INST] {% if loop.first and system is not none %}{{ system ~ '\\n\\n' }}{% endif %}{{ message.content }} [/INST]
    {%- else %}{% generation %} {{ message.content | trim }}{{ eos_token }}{% endgeneration %}{% endif %}
{%- endfor %}`,
  `{% macro call(tool, indent=2) %}{"name": "{{ tool.name }}", "arguments": {{ tool.arguments | tojson(indent=indent) }}}{% endmacro %}
{% set ns = namespace(last=-1, names=[]) %}
{% for m in messages[::-1] %}{% if m.role == "user" and ns.last < 0 %}{% set ns.last = (messages | length - 1) - loop.index0 %}{% endif %}{% endfor %}
{% for t in tools or [] %}{{ call(t) }}{{ ", " if not loop.last }}{% endfor %}
{% for m in messages | selectattr("content", "string") %}{{ loop.index }}/{{ ns.last }}: {{ m.content.split('x')[-1].lstrip('\\n') | upper | replace("A", "b") }}
{% else %}nobody{% endfor %}{{ range(3) | join('-') }} {{ messages | map(attribute='role') | unique | list }} {{ 7 // 2 * 1.5 }}`,
];
const MESSAGES = [
  { role: "system", content: " Be kind. " },
  { role: "user", content: "a\\nx\\n\\né" },
  { role: "assistant", content: "🎬" },
];
const TOOLS = [{ name: "weather", arguments: { city: ["Paris", null], days: 2.5 } }];

/** What damage to a program is: words of it at other places, signs gone or doubled. */
const PIECES = [
  "{%",
  "%}",
  "{{",
  "}}",
  "{#",
  "(",
  ")",
  "[",
  "]",
  "'",
  '"',
  "|",
  ".",
  "-",
  " not ",
  " if ",
  "{% endif %}",
  "{% for x in messages %}",
  "{% endfor %}",
  "loop",
  "messages",
  "none",
  "1",
  "** 9",
  "* 'a'",
  "| join",
  "| list",
  "is ",
  "\\n",
  "range(99999)",
  ", ",
  "=",
];

export const chatTemplate: FuzzFormat = {
  name: "chat template",
  draw(random) {
    let text = pick(random, TEMPLATES);
    for (let n = random.integer(4); n > 0; n--) {
      const at = random.integer(text.length + 1);
      const cut = random.integer(3) === 0 ? random.integer(12) : 0;
      text = text.slice(0, at) + (random.integer(4) === 0 ? "" : pick(random, PIECES)) + text.slice(at + cut);
    }
    const bytes = encoder.encode(text);
    return random.integer(6) === 0 ? mutateBytes(bytes, random) : bytes;
  },
  read(bytes) {
    const template = new ChatTemplate(textOf(bytes), { bos_token: "<s>", eos_token: "</s>" });
    const print = (): string => template.render(MESSAGES, { tools: TOOLS, addGenerationPrompt: true });
    return [print(), print()];
  },
  senseless(bytes, [first, second]: [string, string]) {
    if (first !== second) return "it prints something else the second time";
    if (/[\ufdd0-\ufdef]/u.test(first)) return "it prints what marks the assistant's texts";
    const source = textOf(bytes);
    return source.includes("{") || first === source.replaceAll("\r\n", "\n").replace(/\n$/u, "")
      ? undefined
      : "a text without a tag is not printed as it is";
  },
};
export const CHAT = { MESSAGES, TOOLS };
