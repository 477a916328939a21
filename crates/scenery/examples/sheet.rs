//! A sheet of landscapes to look at: each one's label map, and the image in two moods.
//!
//!     cargo run --release -p spadework-scenery --example sheet -- OUT.png rendered|painted FIRST_SEED COUNT [COLUMNS]

use std::{env, fs, time::Instant};

use spadework_imaging::{RgbImage, encode_png};
use spadework_scenery::{CLASSES, Landscape, Mood};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (first, count): (u64, u64) = (args[2].parse()?, args[3].parse()?);
    let columns = args.get(4).map_or(Ok(3), |text| text.parse())?;
    let started = Instant::now();
    let tiles: Vec<RgbImage> =
        (first..first + count).flat_map(|seed| tiles(seed, args[1] == "painted")).collect();
    println!("{:.1} ms a landscape", started.elapsed().as_secs_f64() * 1e3 / count as f64);
    fs::write(&args[0], encode_png(&tiled(&tiles, 3 * columns)?)?)?;
    Ok(())
}

fn tiles(seed: u64, painted: bool) -> [RgbImage; 3] {
    let landscape = if painted { Landscape::painted(seed) } else { Landscape::of(seed) };
    let labels = landscape.labels();
    let colors = labels.ids().iter().flat_map(|&id| CLASSES[usize::from(id)].1).collect();
    let mask = RgbImage::new(labels.width(), labels.height(), colors).expect("a colour for each label");
    let mood = |shift: u64| Mood::ALL[((seed + shift) % 4) as usize];
    [mask, landscape.paint(mood(0), seed), landscape.paint(mood(2), seed)]
}

/// Images of one size beside and below one another.
fn tiled(tiles: &[RgbImage], columns: usize) -> Result<RgbImage, Box<dyn std::error::Error>> {
    let (width, height) = (tiles[0].width(), tiles[0].height());
    let mut pixels = Vec::new();
    for row in tiles.chunks(columns) {
        for y in 0..height {
            for column in 0..columns {
                match row.get(column) {
                    Some(tile) => pixels.extend(&tile.pixels()[3 * y * width..3 * (y + 1) * width]),
                    None => pixels.extend(vec![0; 3 * width]),
                }
            }
        }
    }
    Ok(RgbImage::new(columns * width, tiles.len().div_ceil(columns) * height, pixels)?)
}
