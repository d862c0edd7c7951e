"""A: transformers reads what forms.mjs saved: every form and option of forms_theirs.py once around. usage: check_forms.py OUT [ONLY_REGEX]"""
import re
from pyside import *
out = sys.argv[1]; only = sys.argv[2] if len(sys.argv) > 2 else "."
say = report(out); root = f"{out}/A/forms"
for name in sorted(os.listdir(root)):
    id = f"A/forms/{name}"; from_ = f"{out}/B/forms/{name}"
    if not re.search(only, name): continue
    try:
        model, info = auto(f"{root}/{name}", output_loading_info=True, attn_implementation="eager", dtype=torch.float32)
        d, r, f = compare(logits_of(model, {k: v for k, v in load_file(f"{from_}/inputs.safetensors").items()}), load_file(f"{from_}/logits.safetensors")["logits"])
        bad = {k: list(v)[:3] for k, v in info.items() if v}
        say(id, "PASS" if r <= TOLERANCE and not bad else "FAIL", f, f"loading info {bad}" if bad else "")
    except Exception as e: say(id, "FAIL", type(e).__name__, short(e))
