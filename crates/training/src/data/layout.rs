//! Where the published data sets keep their files.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::pairs::{Folder, Pairs};

/// A published data set's folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum DatasetLayout {
    /// `train_label`, `train_img`, `train_inst`.
    Coco,
    /// `annotations/training`, `images/training`.
    Ade20k,
    /// `gtFine/train/CITY/…_gtFine_labelIds.png` and `…_instanceIds.png`, `leftImg8bit/train/CITY/…_leftImg8bit.png`.
    Cityscapes,
    /// `train_label`, `train_img`.
    Facades,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum Split {
    /// To train on.
    #[default]
    Train,
    /// To measure with.
    Val,
}

impl DatasetLayout {
    /// The pairs of a part of the data set under `root`.
    ///
    /// # Errors
    /// When a folder is not there, or holds two files of one name.
    pub fn pairs(self, root: &Path, split: Split, instances: bool) -> anyhow::Result<Pairs> {
        let [labels, images, instance_maps] = self.folders(split);
        let folder = |(path, suffix): &(PathBuf, &'static str)| (root.join(path), *suffix);
        let (labels, images) = (folder(&labels), folder(&images));
        let instance_maps = folder(&instance_maps);
        Pairs::find(
            &Folder { path: &labels.0, suffix: labels.1 },
            &Folder { path: &images.0, suffix: images.1 },
            instances.then_some(&Folder { path: &instance_maps.0, suffix: instance_maps.1 }),
        )
    }

    /// Folders of label maps, images and instance maps, each with the ending of its files' stems.
    fn folders(self, split: Split) -> [(PathBuf, &'static str); 3] {
        let name = if split == Split::Train { "train" } else { "val" };
        match self {
            Self::Coco | Self::Facades => {
                ["label", "img", "inst"].map(|kind| (format!("{name}_{kind}").into(), ""))
            }
            Self::Ade20k => {
                let part = if split == Split::Train { "training" } else { "validation" };
                ["annotations", "images", "instances"].map(|kind| (Path::new(kind).join(part), ""))
            }
            Self::Cityscapes => [
                (Path::new("gtFine").join(name), "_gtFine_labelIds"),
                (Path::new("leftImg8bit").join(name), "_leftImg8bit"),
                (Path::new("gtFine").join(name), "_gtFine_instanceIds"),
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(layout: DatasetLayout, split: Split, instances: bool, files: &[&str]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, []).unwrap();
        }
        let pairs = layout.pairs(root.path(), split, instances).unwrap();
        pairs.pairs.into_iter().map(|pair| pair.name).collect()
    }

    #[test]
    fn every_published_layout_is_found() {
        let coco =
            ["train_label/1.png", "train_img/1.jpg", "train_inst/1.png", "val_label/2.png", "val_img/2.jpg"];
        assert_eq!(names(DatasetLayout::Coco, Split::Train, true, &coco), ["1"]);
        assert_eq!(names(DatasetLayout::Facades, Split::Val, false, &coco), ["2"]);
        let ade = ["annotations/training/ADE_train_1.png", "images/training/ADE_train_1.jpg"];
        assert_eq!(names(DatasetLayout::Ade20k, Split::Train, false, &ade), ["ADE_train_1"]);
        let cityscapes = [
            "gtFine/train/ulm/ulm_0_1_gtFine_labelIds.png",
            "gtFine/train/ulm/ulm_0_1_gtFine_instanceIds.png",
            "gtFine/train/ulm/ulm_0_1_gtFine_color.png",
            "leftImg8bit/train/ulm/ulm_0_1_leftImg8bit.png",
        ];
        assert_eq!(names(DatasetLayout::Cityscapes, Split::Train, true, &cityscapes), ["ulm_0_1"]);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let error = DatasetLayout::Coco.pairs(root.path(), Split::Train, false).unwrap_err();
        assert!(format!("{error:#}").contains("train_label"), "{error:#}");
    }
}
