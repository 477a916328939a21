//! A model's labels: which ids exist, and which colours stand for them.

use std::collections::HashMap;

use crate::palettes::voc_color;

/// One label of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its class id, the value in an id mask.
    pub id: u8,
    /// Its name.
    pub name: String,
    /// The colour that stands for it in a colour mask, if the model has colours.
    pub color: Option<[u8; 3]>,
}

/// The labels of one model. Cheap to share, built once per model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSet {
    label_nc: usize,
    has_unknown: bool,
    labels: Vec<Label>,
    ids_by_color: HashMap<[u8; 3], u8>,
}

/// Why labels do not make a set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LabelSetError {
    /// No labels at all, or more than ids of 8 bits can tell apart.
    #[error("label_nc is {label_nc}; with{} an unknown label it must lie in 1..={most}", if *has_unknown { "" } else { "out" })]
    Count {
        /// The number given.
        label_nc: usize,
        /// Whether an unknown label comes on top.
        has_unknown: bool,
        /// The largest number allowed.
        most: usize,
    },
    /// A label's id is not one of the model's classes.
    #[error("label `{name}` has id {id}, but the model has the classes 0..{classes}")]
    Id {
        /// The label's name.
        name: String,
        /// Its id.
        id: u8,
        /// The number of classes.
        classes: usize,
    },
    /// Two labels share an id.
    #[error("labels `{first}` and `{second}` share the id {id}")]
    Duplicate {
        /// The shared id.
        id: u8,
        /// The name that came first.
        first: String,
        /// The name that came second.
        second: String,
    },
}

impl LabelSet {
    /// The labels of a model of `label_nc` classes, ids `0..label_nc`; with `has_unknown`, id `label_nc` is
    /// the unknown label, and 255 and transparent pixels mean it too.
    ///
    /// `labels` may name all of the ids or none; an id without a label is still a class. Where two labels
    /// share a colour (Cityscapes has several black ones) the colour means the lowest id.
    ///
    /// # Errors
    /// When the ids do not fit in 8 bits, lie outside the classes, or are given twice.
    pub fn new(label_nc: usize, has_unknown: bool, mut labels: Vec<Label>) -> Result<Self, LabelSetError> {
        let most = if has_unknown { 255 } else { 256 };
        if label_nc == 0 || label_nc > most {
            return Err(LabelSetError::Count { label_nc, has_unknown, most });
        }
        let classes = label_nc + usize::from(has_unknown);
        labels.sort_by_key(|label| label.id);
        if let Some(label) = labels.iter().find(|label| usize::from(label.id) >= classes) {
            return Err(LabelSetError::Id { name: label.name.clone(), id: label.id, classes });
        }
        if let Some([first, second]) = labels.array_windows().find(|[a, b]| a.id == b.id) {
            let (id, first, second) = (first.id, first.name.clone(), second.name.clone());
            return Err(LabelSetError::Duplicate { id, first, second });
        }
        let mut ids_by_color = HashMap::new();
        for label in &labels {
            if let Some(color) = label.color {
                ids_by_color.entry(color).or_insert(label.id);
            }
        }
        if has_unknown && let Some(void) = void_color(&labels) {
            ids_by_color.entry(void).or_insert(label_nc as u8);
        }
        Ok(Self { label_nc, has_unknown, labels, ids_by_color })
    }

    /// Classes without the unknown label: the model's `label_nc`.
    pub fn label_nc(&self) -> usize {
        self.label_nc
    }

    /// Classes with the unknown label where there is one; every id of a [`crate::LabelMap`] is below it.
    pub fn classes(&self) -> usize {
        self.label_nc + usize::from(self.has_unknown)
    }

    /// The id of the unknown label, if the model has one.
    pub fn unknown(&self) -> Option<u8> {
        // The constructor keeps label_nc at or below 255 when there is an unknown label.
        self.has_unknown.then_some(self.label_nc as u8)
    }

    /// The labels that were given, by ascending id.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// The label of `id`, if it was given one.
    pub fn label(&self, id: u8) -> Option<&Label> {
        let index = self.labels.binary_search_by_key(&id, |label| label.id).ok()?;
        Some(&self.labels[index])
    }

    /// The name of `id`: the label's, else `unknown` for the unknown label, else `class N`.
    pub fn name(&self, id: u8) -> String {
        match self.label(id) {
            Some(label) => label.name.clone(),
            None if Some(id) == self.unknown() => "unknown".into(),
            None => format!("class {id}"),
        }
    }

    /// Whether any label has a colour, so that colour masks can be read.
    pub fn has_colors(&self) -> bool {
        !self.ids_by_color.is_empty()
    }

    /// The class that a mask's `value` names: ids below `label_nc` name themselves, and where there is an
    /// unknown label its id and 255 name it.
    pub(crate) fn class_of_value(&self, value: u16) -> Option<u8> {
        if usize::from(value) < self.label_nc {
            return u8::try_from(value).ok();
        }
        self.unknown().filter(|&unknown| value == u16::from(unknown) || value == 255)
    }

    /// The class that exactly this colour stands for.
    pub(crate) fn class_of_color(&self, color: [u8; 3]) -> Option<u8> {
        self.ids_by_color.get(&color).copied()
    }

    /// The label whose colour is nearest to `color`, the squared distance, and that of the nearest other colour of a
    /// label. Ties go to the lowest id.
    pub(crate) fn nearest_color(&self, color: [u8; 3]) -> Option<(&Label, u32, Option<u32>)> {
        let distance = |other: [u8; 3]| -> u32 {
            color.iter().zip(other).map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let colored = || self.labels.iter().filter_map(|label| Some((label, distance(label.color?))));
        let (nearest, first) = colored().min_by_key(|&(_, distance)| distance)?;
        let others = colored().filter(|(label, _)| label.color != nearest.color);
        Some((nearest, first, others.map(|(_, distance)| distance).min()))
    }

    /// The names of the labels that have this colour, by ascending id.
    pub(crate) fn names_of_color(&self, color: [u8; 3]) -> Vec<String> {
        let of = self.labels.iter().filter(|label| label.color == Some(color));
        of.map(|label| label.name.clone()).collect()
    }
}

/// The colour of PASCAL VOC's border, 255, where the labels are in VOC's colours.
fn void_color(labels: &[Label]) -> Option<[u8; 3]> {
    let mut colors = labels.iter().filter_map(|label| Some((label.id, label.color?))).peekable();
    colors.peek()?;
    colors.all(|(id, color)| color == voc_color(id)).then(|| voc_color(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: u8, name: &str, color: Option<[u8; 3]>) -> Label {
        Label { id, name: name.into(), color }
    }

    #[test]
    fn the_unknown_label_follows_the_last_class_and_255_means_it() {
        let coco = LabelSet::new(182, true, Vec::new()).unwrap();
        assert_eq!(coco.classes(), 183);
        assert_eq!(coco.unknown(), Some(182));
        assert_eq!(coco.class_of_value(182), Some(182));
        assert_eq!(coco.class_of_value(255), Some(182));
        assert_eq!(coco.class_of_value(183), None);
        assert_eq!(coco.name(182), "unknown");
    }

    #[test]
    fn without_an_unknown_label_255_is_no_class() {
        let facades = LabelSet::new(13, false, Vec::new()).unwrap();
        assert_eq!(facades.class_of_value(12), Some(12));
        assert_eq!(facades.class_of_value(13), None);
        assert_eq!(facades.class_of_value(255), None);
    }

    #[test]
    fn all_256_ids_can_be_classes_when_none_is_unknown() {
        let labels = LabelSet::new(256, false, Vec::new()).unwrap();
        assert_eq!(labels.class_of_value(255), Some(255));
        assert_eq!(labels.class_of_value(256), None);
        assert!(LabelSet::new(256, true, Vec::new()).is_err());
    }

    #[test]
    fn a_colour_shared_by_labels_means_the_lowest_id() {
        let black = Some([0, 0, 0]);
        let labels = vec![label(4, "static", black), label(0, "unlabeled", black)];
        let labels = LabelSet::new(35, false, labels).unwrap();
        assert_eq!(labels.class_of_color([0, 0, 0]), Some(0));
    }

    #[test]
    fn an_id_outside_the_classes_or_given_twice_is_refused() {
        let outside = LabelSet::new(2, false, vec![label(2, "sky", None)]).unwrap_err();
        assert_eq!(outside.to_string(), "label `sky` has id 2, but the model has the classes 0..2");
        let twice = LabelSet::new(2, false, vec![label(1, "sky", None), label(1, "sea", None)]).unwrap_err();
        assert_eq!(twice.to_string(), "labels `sky` and `sea` share the id 1");
    }
}
