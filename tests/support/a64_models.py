"""Unicorn's processors, and for each the model here that has the same features."""

_A57 = ("CRC32", "AES", "PMULL", "SHA1", "SHA256")
#: What the judge's "max" lacks of ours.
LACKING = ("SSBS", "DIT", "EPAN", "BF16", "I8MM", "LVA", "LPA", "LPA2")
#: Arguments of `a64_sae.Ours` for each of Unicorn's processors.
MODELS = {
    "max": {"cpu": "max", "without": LACKING},
    "a57": {"cpu": "base", "with_": _A57},
    "a72": {"cpu": "base", "with_": _A57},
}
