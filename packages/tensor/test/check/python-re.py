"""Records what Python's re says: python python-re.py > python-re.json (an error is recorded as null)."""
import json, random, re, sys, warnings

warnings.simplefilter("ignore")
random.seed(20)

HAND = [
    (r".*\.(query|value)", ["encoder.layer.0.attention.self.query", "query", "a.value", "a.values"]),
    (r"(?:.*?(?:language|text).*?(?:self_attn|attention|mlp).*?(?:q_proj|k_proj|v_proj).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:(?:q_proj|v_proj)))",
     ["model.layers.11.self_attn.q_proj", "model.language.layers.0.mlp.x.k_proj", "model.layers.x.self_attn.q_proj", "amodel.layers.1.mlp.v_proj"]),
    (r"(.*\.)?(layer\.\d+\.(intermediate|output)\.dense)", ["bert.encoder.layer.3.output.dense", "layer.3.output.dense", "layer.3.attention.output.dense", "player.3.output.dense"]),
    (r"model\.layers\.(1|3|5)\..*", ["model.layers.1.x", "model.layers.15.x"]),
    (r"a$", ["a", "a\n", "a\n\n"]), (r"a$\n", ["a\n"]), (r"a\Z\n", ["a\n"]), (r"^^a$$", ["a"]), (r"\Aa", ["a", "ba"]), (r"(^a|b)+", ["aa", "ab", "ba"]),
    (r"\b", ["", "a"]), (r"\B", ["", "."]), (r"\ba\b.\Ba?", ["a.", "ab"]), (r"a.c", ["abc", "a\nc", "a\u2028c", "a\U0001f600c", "ac"]),
    (r"\d+", ["12", "\u0663\u0664", "\u00b2", "a"]), (r"\w+", ["a_1", "\u00e9\u00b2\u00bd", "\u0301", "a-b", "\u4e00"]), (r"\s+", [" \t\r\n\v\f", "\x1c\x1f\x85\u00a0\u3000", "\ufeff", "\u200b"]),
    (r"[^\W\d]+", ["ab", "a1", "_"]), (r"[\s\S]", ["\n", "x", ""]), (r"[]a]+", ["]a", "b"]), (r"[^]a]+", ["bc", "]"]), (r"[a-]+", ["a-a", "b"]), (r"[-a]+", ["-a"]), (r"[a\-z]+", ["a-z", "b"]),
    (r"[\b]", ["\b", "b"]), (r"[z-a]", ["a"]), (r"[\w-z]", ["a"]), (r"[a-\d]", ["a"]), (r"[a", ["a"]), (r"[]", ["]"]), (r"[a&&b]+", ["a&b"]), (r"[[a]]", ["[]", "a]"]),
    (r"a{2}", ["a", "aa", "aaa"]), (r"a{2,}", ["a", "aaa"]), (r"a{,2}", ["", "aa", "aaa"]), (r"a{1,2}?", ["a", "aa", "aaa"]), (r"a{,}", ["", "aaa", "a{,}"]), (r"a{}", ["a{}", "a"]), (r"a{x}", ["a{x}"]),
    (r"a{", ["a{"]), (r"a{2", ["a{2"]), (r"a{2,1}", ["a"]), (r"{a}", ["{a}"]), (r"x*{2}", ["x"]), (r"a**", ["a"]), (r"a*?", ["a", ""]), (r"a??b", ["b", "ab", "aab"]), (r"*a", ["a"]), (r"a|*b", ["a"]),
    (r"(*a)", ["a"]), (r"^*", [""]), (r"(?:^)*a", ["a"]), (r"(?:a*)*b", ["b", "aab"]), (r"(a|)+b", ["aab", "b"]), (r"()*", ["", "a"]), (r"|a", ["", "a"]), (r"a||b", ["", "a", "b"]), (r"", ["", "a"]),
    (r"(?P<x>a)b", ["ab"]), (r"(?P<1>a)", ["a"]), (r"(?P<x>a)(?P<y>b)", ["ab"]), (r"(?#note)a(?#more)*", ["aa", ""]), (r"(?:a", ["a"]), (r"a)", ["a"]), (r"(", [""]), (r"\\", ["\\"]), (r"\q", ["q"]), (r"\_\-\.", ["_-."]),
    ("\\", ["\\"]), (r"\x41\u0042\U00000043", ["ABC"]), (r"\x4", ["x"]), (r"\n\t\r\f\v\a", ["\n\t\r\f\v\a"]), (r"\p{L}", ["a"]), (r"(?i)abC", ["ABc", "abc", "abd"]), (r"(?i)[a-c]+", ["aBC", "D"]),
    (r"(?i)[^a]", ["A", "b"]), (r"a(?i)b", ["ab"]), (r"(?i:a)b", ["Ab", "AB"]), (r"((?i:a|b)c)+", ["AcbC", "Acbc"]), (r"(?i)\u00e9\u03c3", ["\u00c9\u03a3", "\u00c9\u03c2"]), (r"(?i)k", ["\u212a", "K"]), (r"(?i)s", ["\u017f"]),
    (r"a\.b", ["a.b", "axb"]), (r"(a+)+b", ["aaab", "aaa"]), (r"(a|b|ab)*c", ["ababc", "abab"]), (r"(a{2}|b{3}){2}", ["aabbb", "aaaa", "aab"]),
    # names of modules as patterns use them
    (r"(.*\.)?(attention)$", ["a.attention", "attention", "attention.self"]), (r"(^|.*\.)(norm)($|\..*)", ["norm", "a.norm", "a.norm.b", "a.input_layernorm"]),
]

LEAVES = ["a", "b", "ab", ".", r"\.", r"\d", r"\w", r"\W", r"\s", "[ab]", "[^a]", "[a-c1]", "1", "_", "^", "$", r"\b", r"\B", "-", "é"]
def tree(depth):
    kind = random.random()
    if depth == 0 or kind < 0.3: return random.choice(LEAVES)
    if kind < 0.55: return tree(depth - 1) + tree(depth - 1)
    if kind < 0.7: return random.choice(["(%s|%s)", "(?:%s|%s)", "%s|%s"]) % (tree(depth - 1), tree(depth - 1))
    return random.choice(["(%s)", "(?:%s)"]) % tree(depth - 1) + random.choice(["*", "+", "?", "{2}", "{1,2}", "{,2}", "{2,}", "*?", "+?", "{0}"])
def text(): return "".join(random.choice(["a", "a", "b", "c", "1", "_", ".", "-", " ", "\n", "é"]) for _ in range(random.randrange(7)))

def say(pattern, t):
    try: return bool(re.fullmatch(pattern, t))
    except (re.error, RecursionError, OverflowError): return None

cases = [[p, [[t, say(p, t)] for t in ts]] for p, ts in HAND]
while len(cases) < 700:
    p = tree(random.randrange(1, 5))
    ts = [text() for _ in range(8)]
    rows = [[t, say(p, t)] for t in ts]
    if len(p) < 80 and (any(r[1] for r in rows) or random.random() < 0.05): cases.append([p, rows])
json.dump({"made_by": "python-re.py, Python " + sys.version.split()[0], "cases": cases}, sys.stdout, ensure_ascii=True, separators=(",", ":"))
