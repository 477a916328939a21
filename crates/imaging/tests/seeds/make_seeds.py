"""Remakes the small valid files beside it, from which `tests/mutated_files.rs` makes broken ones. Needs Pillow."""

from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    pixels = [(8 * x % 256, 12 * y % 256, 40 * (x ^ y) % 256) for y in range(height) for x in range(width)]
    image = Image.new("RGB", (width, height))
    image.putdata(pixels)
    return image.convert(mode)


def main() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    see_through = picture(20, 13, "RGBA")
    see_through.putalpha(picture(20, 13, "L"))
    files = {
        "baseline.jpg": (picture(33, 17), dict(quality=80, exif=exif)),
        "progressive.jpg": (picture(33, 17), dict(quality=70, progressive=True)),
        "whole_chroma.jpg": (picture(17, 9), dict(quality=60, subsampling=0, restart_marker_blocks=1)),
        "gray.jpg": (picture(16, 16, "L"), {}),
        "cmyk.jpg": (picture(16, 9, "CMYK"), {}),
        "lossy.webp": (picture(33, 17), dict(quality=50)),
        "lossy_alpha.webp": (see_through, dict(quality=50, exif=exif)),
        "lossless.webp": (picture(33, 17), dict(lossless=True)),
        "lossless_palette.webp": (picture(16, 16).quantize(5).convert("RGB"), dict(lossless=True)),
        "animation.webp": (
            picture(16, 16),
            dict(save_all=True, append_images=[picture(16, 16).rotate(90), picture(16, 16).rotate(45)], quality=30),
        ),
        "rgb.png": (picture(20, 13), dict(exif=exif)),
        "rgba.png": (see_through, {}),
        "gray_alpha.png": (see_through.convert("LA"), {}),
        "gray.png": (picture(20, 13, "L").point(lambda value: value % 3), {}),
        "bits.png": (picture(20, 13, "1"), {}),
        "sixteen.png": (Image.frombytes("I;16", (6, 5), bytes(range(60))), {}),
        "palette.png": (picture(20, 13).quantize(7), dict(bits=4, transparency=2)),
    }
    for name, (image, options) in files.items():
        image.save(FOLDER / name, **options)
        print(f"{name}: {(FOLDER / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
