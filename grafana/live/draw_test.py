"""What is drawn can be told apart. R06. Run by `dev/grafana live`."""

import tempfile
import unittest
from pathlib import Path

import draw
from PIL import Image, ImageColor, ImageDraw


class Colours(unittest.TestCase):
    def test_thin_lines_keep_their_colours_however_much_there_is_of_others(self):
        inks = [ImageColor.getrgb(ink) for ink in ("#FFFFFF", *draw.LINES, *draw.COLOURS.values(), draw.INK, draw.FAINT, draw.GROUND, draw.EDGE)]
        picture = Image.new("RGB", (400, 400), "white")
        pen = ImageDraw.Draw(picture)
        for at in range(200):  # shades of text and fills, in plenty
            pen.line([(0, at), (400, at)], fill=(at, at // 2 + 100, 255 - at))
        for at, ink in enumerate(inks):
            pen.point((at, 300), fill=ink)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "picture.png")
            picture.save(path)
            draw.shrink(path)
            with Image.open(path) as small:
                self.assertEqual([small.convert("RGB").getpixel((at, 300)) for at in range(len(inks))], inks)


if __name__ == "__main__":
    unittest.main()
