//! What people paint: a band of sky, far peaks, bands of ground, a pond or a river, a path, trees, rocks, clouds, each
//! with a few plain shapes. Places and lengths are pixels.

use std::f32::consts::TAU;

use glam::Vec2;

use super::canvas::{Canvas, Kind};
use super::crown::Growth;
use super::shape::Shape;
use crate::camera::SIDE;
use crate::class::Class;
use crate::draw::Draw;

const WIDE: f32 = SIDE as f32;

/// A painter at work.
pub(super) struct Painter<'a> {
    pub(super) random: &'a mut Draw,
    pub(super) canvas: Canvas,
    /// The row where sky and flat ground meet.
    pub(super) horizon: f32,
}

impl Painter<'_> {
    /// Paints everything, the farthest first.
    pub(super) fn paint(&mut self) {
        self.clouds();
        self.far();
        self.ground();
        self.water();
        self.path();
        self.patches();
        self.standing();
    }

    fn clouds(&mut self) {
        let count = self.random.pick(&[(0, 3), (1, 2), (2, 3), (3, 3), (5, 2), (100, 2)]);
        if count == 100 {
            let bottom = self.horizon * self.random.within(0.25, 1.1);
            let line = self.line(bottom);
            return self.canvas.paint(Class::Clouds, Kind::Cloud, &[above(line)]);
        }
        for _ in 0..count {
            let y = self.horizon * self.random.within(0.08, 0.85);
            let center = Vec2::new(self.random.within(0.0, WIDE), y);
            let half = Vec2::new(self.random.within(14.0, 62.0), self.random.within(6.0, 24.0));
            let shapes = match self.random.count(0, 4) {
                0 | 1 => vec![Shape::ellipse(center, half, self.random.within(-0.12, 0.12))],
                2 => (0..self.random.count(2, 5)).map(|_| self.puff(center, half)).collect(),
                3 => vec![self.blob(center, half)],
                _ => vec![self.scribble(center, half.x, 0.35 * half.y + 2.0)],
            };
            self.canvas.paint(Class::Clouds, Kind::Cloud, &shapes);
        }
    }

    fn puff(&mut self, center: Vec2, half: Vec2) -> Shape {
        let aside = self.random.within(-0.7, 0.7) * half.x;
        let radius = half.y * self.random.within(0.6, 1.2);
        Shape::ellipse(
            center + Vec2::new(aside, self.random.within(-0.3, 0.3) * half.y),
            Vec2::new(1.3 * radius, radius),
            0.0,
        )
    }

    /// Peaks and hills on the horizon.
    fn far(&mut self) {
        let layers = self.random.pick(&[(0, 3), (1, 5), (2, 3)]);
        for _ in 0..layers {
            let class = self.random.pick(&[(Class::Mountain, 7), (Class::Hill, 4), (Class::Snow, 2)]);
            let foot = self.horizon + self.random.within(0.0, 6.0);
            match self.random.count(0, 5) {
                0..=2 => {
                    for _ in 0..self.random.count(1, 4) {
                        self.peak(class, foot);
                    }
                }
                3 => self.ridge(class, foot),
                4 => {
                    let middle = Vec2::new(self.random.within(20.0, WIDE - 20.0), foot);
                    let half = Vec2::new(self.random.within(40.0, 150.0), self.random.within(18.0, 80.0));
                    let shape = Shape::ellipse(middle, half, 0.0);
                    self.canvas.paint(class, Kind::Form, &[shape]);
                }
                _ => {
                    let top = self.horizon - self.random.within(8.0, 0.6 * self.horizon);
                    let line = self.line(top);
                    self.canvas.paint(class, Kind::Form, &[below(line, foot + 8.0)]);
                }
            }
        }
    }

    fn peak(&mut self, class: Class, foot: f32) {
        let height = self.random.within(0.15, 0.85) * self.horizon;
        let middle = self.random.within(-10.0, WIDE + 10.0);
        let half = height * self.random.within(0.45, 1.5);
        let tip = Vec2::new(middle + half * self.random.within(-0.4, 0.4), foot - height);
        let (left, right) = (Vec2::new(middle - half, foot), Vec2::new(middle + half, foot));
        let mut points = vec![left];
        if self.random.chance(0.3) {
            // Shoulders.
            points.push(
                left.lerp(tip, self.random.within(0.4, 0.7)) + Vec2::new(0.0, self.random.within(-8.0, 8.0)),
            );
        }
        points.push(tip);
        if self.random.chance(0.3) {
            points.push(
                right.lerp(tip, self.random.within(0.4, 0.7)) + Vec2::new(0.0, self.random.within(-8.0, 8.0)),
            );
        }
        points.push(right);
        self.canvas.paint(class, Kind::Form, &[Shape::Polygon(points)]);
        if class == Class::Mountain && self.random.chance(0.35) {
            let share = self.random.within(0.2, 0.5);
            let cap = vec![tip.lerp(left, share), tip - Vec2::new(0.0, 0.5), tip.lerp(right, share)];
            self.canvas.paint(Class::Snow, Kind::Form, &[Shape::Polygon(cap)]);
        }
    }

    /// A range: a broken line across the image.
    fn ridge(&mut self, class: Class, foot: f32) {
        let height = self.random.within(0.2, 0.75) * self.horizon;
        let count = self.random.count(3, 9);
        let mut line: Vec<Vec2> = (0..=count)
            .map(|i| Vec2::new(WIDE * i as f32 / count as f32, foot - height * self.random.within(0.2, 1.0)))
            .collect();
        line[0].x = -2.0;
        line[count].x = WIDE + 2.0;
        self.canvas.paint(class, Kind::Form, &[below(line, foot + 6.0)]);
    }

    fn ground(&mut self) {
        let base = self.random.pick(&GROUND);
        let line = self.line(self.horizon);
        self.canvas.paint(base, Kind::Flat, &[below(line, WIDE + 4.0)]);
        for _ in 0..self.random.pick(&[(0, 5), (1, 4), (2, 1)]) {
            let top = self.horizon + self.random.within(0.12, 0.85) * (WIDE - self.horizon);
            let (line, class) = (self.line(top), self.random.pick(&GROUND));
            self.canvas.paint(class, Kind::Flat, &[below(line, WIDE + 4.0)]);
        }
    }

    /// A place on the flat ground, more often near than far.
    fn place(&mut self) -> Vec2 {
        let down = self.random.within(0.03, 1.0);
        Vec2::new(self.random.within(0.0, WIDE), self.horizon + down * (WIDE - self.horizon))
    }

    fn water(&mut self) {
        if !self.random.chance(0.5) {
            return;
        }
        let class = self.random.pick(&[(Class::River, 5), (Class::Sea, 2)]);
        let near = WIDE - self.horizon;
        let shapes = match self.random.count(0, 4) {
            0 => {
                let center = self.place();
                let half = Vec2::new(self.random.within(25.0, 90.0), self.random.within(7.0, 0.22 * near));
                vec![Shape::ellipse(center, half, self.random.within(-0.1, 0.1))]
            }
            1 => {
                let center = self.place();
                let half = Vec2::new(self.random.within(25.0, 90.0), self.random.within(8.0, 0.25 * near));
                vec![self.blob(center, half)]
            }
            2 => {
                let top = self.horizon + self.random.within(0.0, 0.5) * near;
                let deep = self.random.within(0.12, 0.4) * near;
                vec![below(self.line(top), top + deep)]
            }
            _ => vec![self.winding(5.0, 26.0)],
        };
        self.canvas.paint(class, Kind::Flat, &shapes);
    }

    fn path(&mut self) {
        if self.random.chance(0.3) {
            let class = self.random.pick(&[(Class::Road, 4), (Class::Dirt, 3), (Class::Sand, 2)]);
            let shape = self.winding(2.5, 15.0);
            self.canvas.paint(class, Kind::Flat, &[shape]);
        }
    }

    /// A thick stroke from the far ground to the near, often wider as it comes.
    fn winding(&mut self, thin: f32, thick: f32) -> Shape {
        let count = self.random.count(3, 8);
        let near = self.random.within(thin, thick);
        let far = if self.random.chance(0.6) { near * self.random.within(0.15, 0.6) } else { near };
        let (mut x, drift) = (self.random.within(30.0, WIDE - 30.0), self.random.within(-14.0, 14.0));
        let across = self.random.chance(0.2);
        let start = self.random.within(0.0, 0.3);
        let corner = |i: usize| i as f32 / count as f32;
        let level = self.place().y;
        let points: Vec<(Vec2, f32)> = (0..=count)
            .map(|i| {
                x += drift + self.random.within(-26.0, 26.0);
                let down = start + (1.0 - start) * corner(i);
                let radius = far + (near - far) * down * down;
                if across {
                    let y = level + self.random.within(-14.0, 14.0);
                    return (Vec2::new(WIDE * (1.2 * corner(i) - 0.1), y), 0.5 * (far + near));
                }
                (Vec2::new(x, self.horizon + radius.min(8.0) + down * (WIDE + 12.0 - self.horizon)), radius)
            })
            .collect();
        Shape::Stroke(smooth(&points))
    }

    /// Patches of other ground.
    fn patches(&mut self) {
        for _ in 0..self.random.pick(&[(0, 4), (1, 3), (2, 2), (4, 1)]) {
            let class = self.random.pick(&[
                (Class::Flower, 6),
                (Class::Grass, 3),
                (Class::Dirt, 2),
                (Class::Sand, 2),
                (Class::Snow, 1),
                (Class::River, 1),
                (Class::Road, 1),
            ]);
            let center = self.place();
            let half = Vec2::new(self.random.within(8.0, 70.0), self.random.within(5.0, 32.0));
            let shape = match self.random.count(0, 3) {
                0 => Shape::ellipse(center, half, self.random.within(-0.3, 0.3)),
                1 => Shape::rectangle(center - half, center + half),
                2 => self.scribble(center, half.x, 0.4 * half.y + 2.0),
                _ => self.blob(center, half),
            };
            self.canvas.paint(class, Kind::Flat, &[shape]);
        }
    }

    /// Trees and rocks, the farthest first.
    fn standing(&mut self) {
        let mut feet: Vec<(f32, bool)> = Vec::new();
        for _ in 0..self.random.pick(&[(0, 4), (1, 3), (2, 3), (4, 3), (8, 1)]) {
            feet.push((self.place().y, true));
        }
        for _ in 0..self.random.pick(&[(0, 6), (1, 3), (2, 2), (4, 1)]) {
            feet.push((self.place().y, false));
        }
        if self.random.chance(0.3) {
            self.wood();
        }
        feet.sort_by(|a, b| a.0.total_cmp(&b.0));
        let pines = self.random.chance(0.4);
        for (y, tree) in feet {
            let foot = Vec2::new(self.random.within(4.0, WIDE - 4.0), y.min(WIDE - 6.0));
            let wet = matches!(self.canvas.class(foot), Class::River | Class::Sea);
            if tree && !(wet && self.random.chance(0.8)) {
                let pine = if self.random.chance(0.8) { pines } else { !pines };
                self.tree(foot, pine);
            } else if !tree {
                self.rock(foot);
            }
        }
    }

    fn tree(&mut self, foot: Vec2, pine: bool) {
        let near = (foot.y - self.horizon) / (WIDE - self.horizon);
        let height =
            (self.random.within(16.0, 60.0) + 70.0 * near * self.random.within(0.0, 1.0)).min(foot.y);
        if pine {
            let half = height * self.random.within(0.16, 0.42);
            let tip = Vec2::new(foot.x, foot.y - height);
            let points = vec![Vec2::new(foot.x - half, foot.y), tip, Vec2::new(foot.x + half, foot.y)];
            return self.canvas.paint(Class::Tree, Kind::Trees(Growth::Pine), &[Shape::Polygon(points)]);
        }
        let half = Vec2::new(height * self.random.within(0.28, 0.62), 0.5 * height);
        let shapes = match self.random.count(0, 4) {
            0 | 1 => vec![Shape::ellipse(foot - Vec2::new(0.0, half.y), half, 0.0)],
            2 => {
                // A crown on a stem.
                let crown = Vec2::new(half.x, 0.72 * half.y);
                let middle = foot - Vec2::new(0.0, height - crown.y);
                let stem = (0.05 * height).max(1.2);
                vec![Shape::Stroke(vec![(middle, stem), (foot, stem)]), Shape::ellipse(middle, crown, 0.0)]
            }
            3 => vec![self.blob(foot - Vec2::new(0.0, half.y), half)],
            _ => {
                let low = Vec2::new(half.x * 1.4, 0.3 * height);
                vec![Shape::ellipse(foot - Vec2::new(0.0, low.y), low, 0.0)]
            }
        };
        self.canvas.paint(Class::Tree, Kind::Trees(Growth::Crown), &shapes);
    }

    /// A band or patch of many trees, mostly on the horizon.
    fn wood(&mut self) {
        let growth = self.random.pick(&[(Growth::Wood, 3), (Growth::Pines, 2)]);
        let foot = self.horizon + self.random.within(0.0, 0.25) * (WIDE - self.horizon);
        let tall = self.random.within(12.0, 70.0).min(0.8 * foot);
        let shapes = match self.random.count(0, 2) {
            0 => {
                let line = self.line(foot - tall);
                vec![below(line, foot)]
            }
            1 => {
                let from = Vec2::new(self.random.within(-40.0, 140.0), foot - tall);
                vec![Shape::rectangle(from, Vec2::new(from.x + self.random.within(70.0, 200.0), foot))]
            }
            _ => {
                let center = Vec2::new(self.random.within(0.0, WIDE), foot - 0.5 * tall);
                let half = Vec2::new(self.random.within(40.0, 130.0), 0.5 * tall);
                vec![self.blob(center, half)]
            }
        };
        self.canvas.paint(Class::Tree, Kind::Trees(growth), &shapes);
    }

    fn rock(&mut self, foot: Vec2) {
        let half = Vec2::new(self.random.within(7.0, 46.0), self.random.within(5.0, 34.0));
        let center = foot - Vec2::new(0.0, half.y);
        let shape = match self.random.count(0, 4) {
            0 => Shape::ellipse(center, half, self.random.within(-0.2, 0.2)),
            1 => Shape::rectangle(center - half, center + half),
            2 => {
                let corners = self.random.count(4, 7);
                let turn = self.random.within(0.0, TAU);
                let corner = |i: usize, reach: f32| {
                    center + Vec2::from_angle(turn + i as f32 * TAU / corners as f32) * half * reach
                };
                Shape::Polygon((0..corners).map(|i| corner(i, self.random.within(0.7, 1.1))).collect())
            }
            3 => Shape::Polygon(vec![
                foot - Vec2::new(half.x, 0.0),
                center - Vec2::new(half.x * self.random.within(-0.4, 0.4), half.y),
                foot + Vec2::new(half.x, 0.0),
            ]),
            _ => self.blob(center, half),
        };
        self.canvas.paint(Class::Rock, Kind::Rock, &[shape]);
    }

    /// A line across the image at about a row: straight, tilted or drawn by a hand.
    fn line(&mut self, row: f32) -> Vec<Vec2> {
        let (count, tilt, wobble) = match self.random.count(0, 3) {
            0 | 1 => (1, 0.0, 0.0),
            2 => (1, self.random.within(-9.0, 9.0), 0.0),
            _ => (self.random.count(4, 10), self.random.within(-5.0, 5.0), self.random.within(1.0, 6.0)),
        };
        let points: Vec<(Vec2, f32)> = (0..=count)
            .map(|i| {
                let share = i as f32 / count as f32;
                let y = row + tilt * (share - 0.5) + wobble * self.random.within(-1.0, 1.0);
                (Vec2::new(share * (WIDE + 8.0) - 4.0, y), 0.0)
            })
            .collect();
        let points = if count > 1 { smooth(&points) } else { points };
        points.into_iter().map(|(point, _)| point).collect()
    }

    /// A closed line that a hand draws around a place.
    fn blob(&mut self, center: Vec2, half: Vec2) -> Shape {
        let waves: Vec<(f32, f32, f32)> = (2..6)
            .map(|wave| {
                (wave as f32, self.random.within(0.0, TAU), self.random.within(0.0, 0.42) / wave as f32)
            })
            .collect();
        let point = |i: usize| {
            let angle = i as f32 * TAU / 56.0;
            let reach: f32 =
                waves.iter().map(|(wave, phase, depth)| depth * (wave * angle + phase).sin()).sum();
            center + Vec2::from_angle(angle) * half * (1.0 + reach)
        };
        Shape::Polygon((0..56).map(point).collect())
    }

    /// A few dabs side by side.
    fn scribble(&mut self, center: Vec2, reach: f32, radius: f32) -> Shape {
        let count = self.random.count(2, 5);
        let points: Vec<(Vec2, f32)> = (0..=count)
            .map(|i| {
                let aside = reach * (2.0 * i as f32 / count as f32 - 1.0);
                let y = self.random.within(-0.8, 0.8) * radius;
                (center + Vec2::new(aside, y), radius * self.random.within(0.8, 1.2))
            })
            .collect();
        Shape::Stroke(smooth(&points))
    }
}

/// What lies on flat ground, and how often.
const GROUND: [(Class, u32); 10] = [
    (Class::Grass, 9),
    (Class::Sand, 4),
    (Class::Snow, 3),
    (Class::Sea, 4),
    (Class::Dirt, 2),
    (Class::Flower, 2),
    (Class::River, 1),
    (Class::Road, 1),
    (Class::Grass, 1),
    (Class::Sand, 1),
];

/// Everything between a line across the image and a row below it.
fn below(mut line: Vec<Vec2>, row: f32) -> Shape {
    line.push(Vec2::new(WIDE + 4.0, row));
    line.push(Vec2::new(-4.0, row));
    Shape::Polygon(line)
}

/// Everything above a line.
fn above(mut line: Vec<Vec2>) -> Shape {
    line.push(Vec2::new(WIDE + 4.0, -4.0));
    line.push(Vec2::new(-4.0, -4.0));
    Shape::Polygon(line)
}

/// A curve through points (Catmull and Rom 1974), with radii between theirs.
fn smooth(points: &[(Vec2, f32)]) -> Vec<(Vec2, f32)> {
    const PIECES: usize = 6;
    let at = |i: isize| points[i.clamp(0, points.len() as isize - 1) as usize];
    let mut curve = Vec::new();
    for i in 0..points.len() as isize - 1 {
        let [a, b, c, d] = [i - 1, i, i + 1, i + 2].map(at);
        for piece in 0..PIECES {
            let t = piece as f32 / PIECES as f32;
            let bend = 2.0 * b.0
                + (c.0 - a.0) * t
                + (2.0 * a.0 - 5.0 * b.0 + 4.0 * c.0 - d.0) * (t * t)
                + (3.0 * b.0 - a.0 - 3.0 * c.0 + d.0) * (t * t * t);
            curve.push((0.5 * bend, b.1 + t * (c.1 - b.1)));
        }
    }
    curve.extend(points.last());
    curve
}
