//! Folders of files, whole and broken, through to samples.

use std::{fs, path::Path, sync::Arc};

use spadework_imaging::{Label, LabelMap, LabelSet, RgbImage, Size, encode_label_png, encode_png};

use super::{pairs::Folder, *};

/// Pairs of 12×12 files, each with its number's label and colour.
fn folder(count: u8) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for part in ["labels", "images"] {
        fs::create_dir(root.path().join(part)).unwrap();
    }
    for number in 0..count {
        write_pair(root.path(), number, number);
    }
    root
}

fn write_pair(root: &Path, number: u8, label: u8) {
    let labels = LabelMap::new(12, 12, vec![label; 144], 256).unwrap();
    let image = RgbImage::new(12, 12, vec![number; 432]).unwrap();
    fs::write(root.join(format!("labels/{number}.png")), encode_label_png(&labels).unwrap()).unwrap();
    fs::write(root.join(format!("images/{number}.png")), encode_png(&image).unwrap()).unwrap();
}

fn pairs(root: &Path) -> Pairs {
    let (labels, images) = (root.join("labels"), root.join("images"));
    Pairs::find(&Folder { path: &labels, suffix: "" }, &Folder { path: &images, suffix: "" }, None).unwrap()
}

fn labels() -> LabelSet {
    let label = |id| Label { id, name: format!("label {id}"), color: None };
    LabelSet::new(8, true, (0..8).map(label).collect()).unwrap()
}

fn files(root: &Path, cache_bytes: usize) -> Files {
    let transform =
        Transform { preprocess: Preprocess::ResizeAndCrop, load_size: 12, size: Size::new(8, 8), flip: true };
    let options = FilesOptions { labels: labels(), transform, seed: 3, shuffled: true, cache_bytes };
    Files::new(pairs(root).pairs, options).unwrap()
}

#[test]
fn an_epoch_has_every_pair_once_in_an_order_of_its_own() {
    let root = folder(8);
    let files = files(root.path(), 0);
    let order = |epoch: u64| -> Vec<u8> {
        (0..8).map(|place| files.sample(8 * epoch + place).unwrap().image.pixels()[0]).collect()
    };
    let (first, second) = (order(0), order(1));
    assert_ne!(first, second);
    for mut order in [first, second] {
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2, 3, 4, 5, 6, 7]);
    }
}

#[test]
fn a_position_has_one_sample_whatever_was_read_before_and_however_it_is_loaded() {
    let root = folder(8);
    let (cold, warm) = (files(root.path(), 0), files(root.path(), 1 << 20));
    let mut loader = Loader::start(Arc::new(warm), 5, 3, 6).unwrap();
    for position in 5..30 {
        assert_eq!(loader.next_sample().unwrap(), cold.sample(position).unwrap(), "position {position}");
    }
}

#[test]
fn a_scan_reports_what_is_wrong_before_the_run() {
    let root = folder(4);
    write_pair(root.path(), 1, 200);
    write_pair(root.path(), 2, 255);
    fs::write(root.path().join("images/3.png"), b"not an image").unwrap();
    fs::write(root.path().join("images/9.png"), b"").unwrap();
    let scan = Scan::of(&pairs(root.path()), &labels());
    assert_eq!((scan.pairs, scan.without_labels.as_slice()), (4, &["9".to_owned()][..]));
    assert_eq!(scan.unknown_ids[&200].pixels, 144);
    assert_eq!(scan.unusable.len(), 1);
    let unknown = &scan.classes[8];
    assert_eq!((unknown.name.as_str(), unknown.pixels, unknown.maps), ("unknown", 0.5, 0.5));
    let report = scan.to_string();
    for part in
        ["4 pairs", "1 images without a label map: 9", "value 200 names no class: 144 pixels", "3.png"]
    {
        assert!(report.contains(part), "{part} is not in\n{report}");
    }
    assert!(scan.check().unwrap_err().to_string().contains("200 (in `1`)"));
}

#[test]
fn a_sound_folder_passes_its_scan() {
    let root = folder(3);
    let scan = Scan::of(&pairs(root.path()), &labels());
    scan.check().unwrap();
    assert_eq!(scan.sizes, Some(("12x12".to_owned(), "12x12".to_owned())));
}

#[test]
fn a_file_that_breaks_in_mid_run_is_named() {
    let root = folder(8);
    let files = files(root.path(), 0);
    let path = root.path().join("labels/5.png");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let errors: Vec<String> =
        (0..8).filter_map(|place| files.sample(place).err()).map(|error| format!("{error:#}")).collect();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("5.png") && errors[0].contains("cut off"), "{}", errors[0]);
}
