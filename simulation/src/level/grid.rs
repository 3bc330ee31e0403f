//! Which solids are where: a uniform grid over the level, with a list of solids per cell.

use glam::{UVec2, Vec2};

use super::Solid;

/// The side of a cell, in meters. Most hold one solid or none.
pub(super) const CELL: f32 = 4.0;

/// The index of solids by place. It reaches one cell beyond the level, over the border walls.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// Where the south-western corner is.
    origin: f32,
    /// Cells on a side.
    side: u32,
    /// Where the list of each cell starts, row by row, and where the last ends.
    starts: Vec<usize>,
    /// Indices of solids, cell by cell.
    items: Vec<u16>,
}

impl Grid {
    pub(super) fn new(half: f32, solids: &[Solid]) -> Self {
        let origin = -half - CELL;
        let mut grid = Self {
            origin,
            side: whole(-2.0 * origin / CELL),
            starts: Vec::new(),
            items: Vec::new(),
        };
        let mut entries = Vec::new();
        for (index, solid) in (0..).zip(solids) {
            let half = solid.half_extents();
            for cell in grid.cells(solid.center - half, solid.center + half) {
                entries.push((grid.index(cell), index));
            }
        }
        entries.sort_unstable();
        for cell in 0..=grid.index(UVec2::new(0, grid.side)) {
            grid.starts
                .push(entries.partition_point(|entry: &(usize, u16)| entry.0 < cell));
        }
        grid.items = entries.into_iter().map(|(_, index)| index).collect();
        grid
    }

    /// The cell of a point; of one outside, the nearest.
    pub(super) fn cell(&self, point: Vec2) -> UVec2 {
        let scaled = (point - self.origin) / CELL;
        UVec2::new(whole(scaled.x), whole(scaled.y)).min(UVec2::splat(self.side - 1))
    }

    /// The south-western corner of a cell.
    pub(super) fn corner(&self, cell: UVec2) -> Vec2 {
        cell.as_vec2() * CELL + self.origin
    }

    /// Whether there is such a cell.
    pub(super) const fn contains(&self, cell: UVec2) -> bool {
        cell.x < self.side && cell.y < self.side
    }

    /// The solids in a cell.
    pub(super) fn items(&self, cell: UVec2) -> &[u16] {
        let index = self.index(cell);
        let range = self.starts.get(index).zip(self.starts.get(index + 1));
        range
            .and_then(|(start, end)| self.items.get(*start..*end))
            .unwrap_or_default()
    }

    /// The solids in all cells that a square around a point touches.
    pub(super) fn around(&self, point: Vec2, reach: f32) -> impl Iterator<Item = u16> {
        self.cells(point - reach, point + reach)
            .flat_map(|cell| self.items(cell))
            .copied()
    }

    /// The cells that a rectangle touches.
    fn cells(&self, low: Vec2, high: Vec2) -> impl Iterator<Item = UVec2> + use<> {
        let (low, high) = (self.cell(low), self.cell(high));
        (low.y..=high.y)
            .flat_map(move |row| (low.x..=high.x).map(move |column| UVec2::new(column, row)))
    }

    const fn index(&self, cell: UVec2) -> usize {
        cell.y as usize * self.side as usize + cell.x as usize
    }
}

/// Rounded down, 0 for what is negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and a level has less than 2^16 cells on a side"
)]
const fn whole(cells: f32) -> u32 {
    cells as u32
}
