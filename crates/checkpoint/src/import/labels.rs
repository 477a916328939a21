//! The labels of the published data sets.

use spadework_model::Architecture;

use spadework_imaging::palettes::{self, voc_color};

use super::Preset;
use crate::LabelConfig;

/// The labels of a data set, in the colours that its tools publish; numbered ones, in PASCAL VOC's colours, when it is
/// not a published one.
pub(super) fn labels_of(preset: Option<Preset>, architecture: &Architecture) -> Vec<LabelConfig> {
    match preset {
        Some(Preset::Cityscapes) => labels(CITYSCAPES.into_iter().zip(palettes::CITYSCAPES.map(Some))),
        Some(Preset::Coco) => {
            let colors = palettes::COCO_THINGS.into_iter().chain(palettes::COCO_STUFF.map(Some));
            labels(COCO.lines().zip(colors).chain([("unknown", Some(BLACK))]))
        }
        Some(Preset::Ade20k) => {
            labels([("other", Some(BLACK))].into_iter().chain(ADE20K.lines().zip(palettes::ADE20K.map(Some))))
        }
        Some(Preset::Facades) => in_voc_colors(["unlabeled"].into_iter().chain(FACADES)),
        None => {
            let names: Vec<String> =
                (0..architecture.label_planes())
                    .map(|id| {
                        if id < architecture.label_nc { format!("label {id}") } else { "unknown".to_owned() }
                    })
                    .collect();
            in_voc_colors(names.iter().map(String::as_str))
        }
    }
}

const BLACK: [u8; 3] = [0; 3];

fn labels<'a>(named: impl Iterator<Item = (&'a str, Option<[u8; 3]>)>) -> Vec<LabelConfig> {
    named
        .zip(0..=u8::MAX)
        .map(|((name, color), id)| LabelConfig { id, name: name.to_owned(), color })
        .collect()
}

fn in_voc_colors<'a>(names: impl Iterator<Item = &'a str>) -> Vec<LabelConfig> {
    labels(names.zip((0..=u8::MAX).map(|id| Some(voc_color(id)))))
}

/// Names by the data set's own `id` (not `trainId`); the last is the licence plate, id -1 in its tables.
const CITYSCAPES: [&str; 35] = [
    "unlabeled",
    "ego vehicle",
    "rectification border",
    "out of roi",
    "static",
    "dynamic",
    "ground",
    "road",
    "sidewalk",
    "parking",
    "rail track",
    "building",
    "wall",
    "fence",
    "guard rail",
    "bridge",
    "tunnel",
    "pole",
    "polegroup",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
    "license plate",
];

const FACADES: [&str; 12] = [
    "background",
    "facade",
    "window",
    "door",
    "cornice",
    "sill",
    "balcony",
    "blind",
    "deco",
    "molding",
    "pillar",
    "shop",
];

/// Things 0 to 90, with the gaps of the original numbering, then stuff.
const COCO: &str = "\
person
bicycle
car
motorcycle
airplane
bus
train
truck
boat
traffic light
fire hydrant
street sign
stop sign
parking meter
bench
bird
cat
dog
horse
sheep
cow
elephant
bear
zebra
giraffe
hat
backpack
umbrella
shoe
eye glasses
handbag
tie
suitcase
frisbee
skis
snowboard
sports ball
kite
baseball bat
baseball glove
skateboard
surfboard
tennis racket
bottle
plate
wine glass
cup
fork
knife
spoon
bowl
banana
apple
sandwich
orange
broccoli
carrot
hot dog
pizza
donut
cake
chair
couch
potted plant
bed
mirror
dining table
window
desk
toilet
door
tv
laptop
mouse
remote
keyboard
cell phone
microwave
oven
toaster
sink
refrigerator
blender
book
clock
vase
scissors
teddy bear
hair drier
toothbrush
hair brush
banner
blanket
branch
bridge
building-other
bush
cabinet
cage
cardboard
carpet
ceiling-other
ceiling-tile
cloth
clothes
clouds
counter
cupboard
curtain
desk-stuff
dirt
door-stuff
fence
floor-marble
floor-other
floor-stone
floor-tile
floor-wood
flower
fog
food-other
fruit
furniture-other
grass
gravel
ground-other
hill
house
leaves
light
mat
metal
mirror-stuff
moss
mountain
mud
napkin
net
paper
pavement
pillow
plant-other
plastic
platform
playingfield
railing
railroad
river
road
rock
roof
rug
salad
sand
sea
shelf
sky-other
skyscraper
snow
solid-other
stairs
stone
straw
structural-other
table
tent
textile-other
towel
tree
vegetable
wall-brick
wall-concrete
wall-other
wall-panel
wall-stone
wall-tile
wall-wood
water-other
waterdrops
window-blind
window-other
wood";

const ADE20K: &str = "\
wall
building
sky
floor
tree
ceiling
road
bed
windowpane
grass
cabinet
sidewalk
person
earth
door
table
mountain
plant
curtain
chair
car
water
painting
sofa
shelf
house
sea
mirror
rug
field
armchair
seat
fence
desk
rock
wardrobe
lamp
bathtub
railing
cushion
base
box
column
signboard
chest of drawers
counter
sand
sink
skyscraper
fireplace
refrigerator
grandstand
path
stairs
runway
case
pool table
pillow
screen door
stairway
river
bridge
bookcase
blind
coffee table
toilet
flower
book
hill
bench
countertop
stove
palm
kitchen island
computer
swivel chair
boat
bar
arcade machine
hovel
bus
towel
light
truck
tower
chandelier
awning
streetlight
booth
television
airplane
dirt track
apparel
pole
land
bannister
escalator
ottoman
bottle
buffet
poster
stage
van
ship
fountain
conveyer belt
canopy
washer
plaything
swimming pool
stool
barrel
basket
waterfall
tent
bag
minibike
cradle
oven
ball
food
step
tank
trade name
microwave
pot
animal
bicycle
lake
dishwasher
screen
blanket
sculpture
hood
sconce
vase
traffic light
tray
ashcan
fan
pier
crt screen
plate
monitor
bulletin board
shower
radiator
glass
clock
flag";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainingOptions;

    #[test]
    fn every_data_set_names_exactly_its_planes() {
        assert_eq!(COCO.lines().count(), 182);
        assert_eq!(ADE20K.lines().count(), 150);
        assert_eq!(FACADES.len() + 1, 13);
    }

    /// The label of a colour, as a preset has it.
    fn named(preset: Preset, color: [u8; 3]) -> String {
        let architecture = TrainingOptions::preset(preset);
        let observed_nothing = Architecture::published(&spadework_model::PublishedOptions {
            label_nc: architecture.label_nc.unwrap(),
            contain_dontcare_label: architecture.contain_dontcare_label.unwrap(),
            no_instance: architecture.no_instance.unwrap(),
            crop_size: 256,
            aspect_ratio: 1.0,
            upsampling: spadework_model::Upsampling::Normal,
            ngf: 64,
            z_dim: 256,
            use_vae: false,
            norm_g: "spectralspadesyncbatch3x3".to_owned(),
        });
        let labels = labels_of(Some(preset), &observed_nothing.unwrap());
        labels.into_iter().find(|label| label.color == Some(color)).unwrap().name
    }

    #[test]
    fn presets_have_the_colours_that_the_data_sets_publish() {
        for (preset, color, name) in [
            (Preset::Ade20k, [120, 120, 120], "wall"),
            (Preset::Ade20k, [180, 120, 120], "building"),
            (Preset::Ade20k, [6, 230, 230], "sky"),
            (Preset::Ade20k, [4, 200, 3], "tree"),
            (Preset::Ade20k, [4, 250, 7], "grass"),
            (Preset::Ade20k, [140, 140, 140], "road"),
            (Preset::Ade20k, [92, 0, 255], "flag"),
            (Preset::Coco, [220, 20, 60], "person"),
            (Preset::Coco, [191, 162, 208], "toothbrush"),
            (Preset::Coco, [54, 178, 118], "banner"),
            (Preset::Cityscapes, [128, 64, 128], "road"),
            (Preset::Cityscapes, [0, 0, 142], "car"),
            (Preset::Facades, [128, 0, 0], "background"),
        ] {
            assert_eq!(named(preset, color), name, "{preset:?}");
        }
    }
}
