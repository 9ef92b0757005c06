"""Puts the title into every page; what was rendered with the same title before is taken from the cache."""

import os
import sys
import zlib

title, source, cache, target = sys.argv[1:]
os.makedirs(target)
for name in sorted(os.listdir(source)):
    with open(f"{source}/{name}") as file:
        text = file.read()
    kept = f"{cache}/{zlib.crc32((title + text).encode()):08x}"
    if os.path.exists(kept):
        print(f"{name}: from the cache")
    else:
        print(f"{name}: rendered")
        with open(kept, "w") as file:
            file.write(text.replace("@TITLE@", title))
    with open(kept) as file, open(f"{target}/{name}", "w") as page:
        page.write(file.read())
