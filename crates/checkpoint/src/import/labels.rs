//! The labels of the published data sets.

use spadework_model::Architecture;

use super::Preset;
use crate::LabelConfig;

/// The labels of a data set; numbered ones when it is not a published one.
pub(super) fn labels_of(preset: Option<Preset>, architecture: &Architecture) -> Vec<LabelConfig> {
    match preset {
        Some(Preset::Cityscapes) => CITYSCAPES
            .iter()
            .zip(0..)
            .map(|(&(name, color), id)| LabelConfig { id, name: name.to_owned(), color: Some(color) })
            .collect(),
        Some(Preset::Coco) => named(COCO.lines().chain(["unknown"])),
        Some(Preset::Ade20k) => named(["other"].into_iter().chain(ADE20K.lines())),
        Some(Preset::Facades) => named(["unlabeled"].into_iter().chain(FACADES)),
        None => {
            let names: Vec<String> =
                (0..architecture.label_planes())
                    .map(|id| {
                        if id < architecture.label_nc { format!("label {id}") } else { "unknown".to_owned() }
                    })
                    .collect();
            named(names.iter().map(String::as_str))
        }
    }
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> Vec<LabelConfig> {
    names
        .zip(0..=u8::MAX)
        .map(|(name, id)| LabelConfig { id, name: name.to_owned(), color: Some(voc_color(id)) })
        .collect()
}

/// PASCAL VOC's colour of an id: the id's bits dealt out to red, green and blue, the most significant colour bit
/// first. Data sets without colours of their own are commonly drawn so.
fn voc_color(id: u8) -> [u8; 3] {
    let channel = |channel: u8| {
        (0..3).fold(0, |value, turn| {
            let bit = 3 * turn + channel;
            let set = bit < 8 && id >> bit & 1 == 1;
            value | u8::from(set) << (7 - turn)
        })
    };
    [channel(0), channel(1), channel(2)]
}

/// Names and colours by the data set's own `id` (not `trainId`); the last is the licence plate, id -1 in its tables.
const CITYSCAPES: [(&str, [u8; 3]); 35] = [
    ("unlabeled", [0, 0, 0]),
    ("ego vehicle", [0, 0, 0]),
    ("rectification border", [0, 0, 0]),
    ("out of roi", [0, 0, 0]),
    ("static", [0, 0, 0]),
    ("dynamic", [111, 74, 0]),
    ("ground", [81, 0, 81]),
    ("road", [128, 64, 128]),
    ("sidewalk", [244, 35, 232]),
    ("parking", [250, 170, 160]),
    ("rail track", [230, 150, 140]),
    ("building", [70, 70, 70]),
    ("wall", [102, 102, 156]),
    ("fence", [190, 153, 153]),
    ("guard rail", [180, 165, 180]),
    ("bridge", [150, 100, 100]),
    ("tunnel", [150, 120, 90]),
    ("pole", [153, 153, 153]),
    ("polegroup", [153, 153, 153]),
    ("traffic light", [250, 170, 30]),
    ("traffic sign", [220, 220, 0]),
    ("vegetation", [107, 142, 35]),
    ("terrain", [152, 251, 152]),
    ("sky", [70, 130, 180]),
    ("person", [220, 20, 60]),
    ("rider", [255, 0, 0]),
    ("car", [0, 0, 142]),
    ("truck", [0, 0, 70]),
    ("bus", [0, 60, 100]),
    ("caravan", [0, 0, 90]),
    ("trailer", [0, 0, 110]),
    ("train", [0, 80, 100]),
    ("motorcycle", [0, 0, 230]),
    ("bicycle", [119, 11, 32]),
    ("license plate", [0, 0, 142]),
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

    #[test]
    fn every_data_set_names_exactly_its_planes() {
        assert_eq!(COCO.lines().count(), 182);
        assert_eq!(ADE20K.lines().count(), 150);
        assert_eq!(FACADES.len() + 1, 13);
    }

    #[test]
    fn colours_follow_pascal_voc() {
        assert_eq!(
            [0, 1, 2, 3, 15].map(voc_color),
            [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [192, 128, 128]]
        );
    }
}
