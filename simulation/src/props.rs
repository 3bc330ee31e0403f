//! The rigid bodies of the world: balls and crates that players push and shots kick.
//!
//! Props are the only part of the simulation that rapier moves. Players take part as kinematic
//! capsules: they push and are never pushed back, so that a client can predict its own movement
//! without simulating a single body. There are at most [`MAX_PROPS`], and they sleep soon after
//! they stop, because an awake one costs as much as several players.

use std::fmt;

use glam::{Quat, Vec3, Vec3Swizzles};
use rapier3d::prelude::{
    Collider, ColliderBuilder, Group, InteractionGroups, InteractionTestMode, PhysicsWorld,
    RigidBody, RigidBodyBuilder, RigidBodyHandle,
};

use crate::entity::{EntityId, PlayerSlot};
use crate::frame::{EntityFlags, EntityState, quantize_ground, quantize_height};
use crate::level::{Footprint, Level, Solid};
use crate::mover::{HEIGHT, RADIUS};
use crate::seeded::StateHash;
use crate::tick::TICK_SECONDS;

/// Most props in a match.
pub const MAX_PROPS: u16 = 200;

/// Radius of a ball and half of the side of a crate, in meters.
const BALL_RADIUS: f32 = 0.4;
const CRATE_HALF: f32 = 0.35;
/// Mass per volume, in kg/m³: a ball of 8 kg, a crate of 10.
const DENSITY: f32 = 30.0;
/// What a shot gives a prop, in kg m/s.
const KICK: f32 = 20.0;
/// A prop slower than this for this long falls asleep, in m/s and seconds.
const SLEEP: (f32, f32) = (0.15, 0.25);
/// Fastest prop, in m/s: a quarter of a meter per tick, which no wall is too thin for.
const SPEED_LIMIT: f32 = 15.0;
/// A player gets a body this close to a prop and loses it that far from all, in meters. They touch
/// at 0.9 m at most, and come closer by less than 0.4 m per tick.
const NEAR: (f32, f32) = (1.6, 2.5);
/// Places for props around one home, when there are more props than homes, in meters.
const AROUND: [(f32, f32); 5] = [(0.0, 0.0), (1.5, 0.0), (-1.5, 0.0), (0.0, 1.5), (0.0, -1.5)];

const LEVEL: Group = Group::GROUP_1;
const PROPS: Group = Group::GROUP_2;
const PLAYERS: Group = Group::GROUP_3;

/// All props of a match, and the bodies of the players among them.
pub struct Props {
    world: PhysicsWorld,
    bodies: Vec<RigidBodyHandle>,
    homes: Vec<Vec3>,
    /// The middle of every prop.
    centers: Vec<Vec3>,
    /// What others see of every prop.
    states: Vec<EntityState>,
    players: Vec<Option<RigidBodyHandle>>,
}

impl Props {
    /// `count` props, at most [`MAX_PROPS`], in a level for `capacity` players.
    pub fn new(level: &Level, capacity: u16, count: u16) -> Self {
        let mut world = PhysicsWorld::new();
        world.integration_parameters.dt = TICK_SECONDS;
        world.integration_parameters.normalized_max_linear_velocity = SPEED_LIMIT;
        // Nothing moves as far as a wall is thick in one tick.
        world.integration_parameters.max_ccd_substeps = 0;
        let half = level.half() + 2.0;
        let ground = ColliderBuilder::cuboid(half, 1.0, half).translation(Vec3::NEG_Y);
        world.insert_collider(in_group(ground, LEVEL, PROPS), None);
        for solid in level.solids() {
            world.insert_collider(in_group(collider(solid), LEVEL, PROPS), None);
        }
        let mut props = Self {
            world,
            bodies: Vec::new(),
            homes: Vec::new(),
            centers: Vec::new(),
            states: Vec::new(),
            players: vec![None; usize::from(capacity)],
        };
        let places = AROUND
            .iter()
            .flat_map(|around| level.homes().iter().map(move |home| (around, home)));
        for (index, ((east, north), home)) in (0..count.min(MAX_PROPS)).zip(places) {
            props.insert(index, Vec3::new(home.x + east, BALL_RADIUS, home.y + north));
        }
        props.refresh(Awake::All);
        props
    }

    /// Lets a player who moves in this tick push what is in the way. Only who is near a prop has a
    /// body, from one tick before they can touch on: most players are near none.
    pub fn push(&mut self, slot: PlayerSlot, from: Vec3, to: Vec3) {
        let body = self.players.get(usize::from(slot.0)).copied().flatten();
        let (arrive, leave) = NEAR;
        let near = if body.is_some() { leave } else { arrive };
        let mut centers = self.centers.iter();
        if !centers.any(|prop| (prop.xz() - to.xz()).length_squared() < near * near) {
            self.withdraw(slot);
            return;
        }
        let handle = body.unwrap_or_else(|| self.add_player(slot, from));
        if let Some(body) = self.world.bodies.get_mut(handle).filter(|_| from != to) {
            body.set_next_kinematic_translation(middle(to));
        }
    }

    /// Takes the body of a player out of the world: it left, or goes on somewhere else.
    pub fn withdraw(&mut self, slot: PlayerSlot) {
        let player = self.players.get_mut(usize::from(slot.0));
        if let Some(handle) = player.and_then(Option::take) {
            self.world.remove_body(handle);
        }
    }

    /// Kicks a prop in a direction.
    pub fn kick(&mut self, index: u16, direction: Vec3) {
        let handle = self.bodies.get(usize::from(index));
        if let Some(body) = handle.and_then(|handle| self.world.bodies.get_mut(*handle)) {
            body.apply_impulse(direction * KICK, true);
        }
    }

    /// Steps the world by one tick.
    pub fn step(&mut self) {
        self.world.step();
        for (handle, home) in self.bodies.iter().zip(&self.homes) {
            let lost = |body: &RigidBody| {
                let place = body.translation();
                !(place.y > -1.0 && place.is_finite())
            };
            if let Some(body) = self.world.bodies.get_mut(*handle).filter(|body| lost(body)) {
                body.set_position((*home, Quat::IDENTITY).into(), true);
                body.set_linvel(Vec3::ZERO, true);
                body.set_angvel(Vec3::ZERO, true);
            }
        }
        self.refresh(Awake::Moving);
    }

    /// The middle of every prop.
    pub fn centers(&self) -> &[Vec3] {
        &self.centers
    }

    /// What others see of every prop, in the order of their ids.
    pub fn states(&self) -> &[EntityState] {
        &self.states
    }

    /// How many props move.
    pub fn awake(&self) -> usize {
        let asleep = |state: &&EntityState| state.flags.contains(EntityFlags::ASLEEP);
        self.states.len() - self.states.iter().filter(asleep).count()
    }

    /// Folds the poses and velocities of all props into a hash.
    pub fn fold(&self, hash: &mut StateHash) {
        for body in self
            .bodies
            .iter()
            .filter_map(|handle| self.world.bodies.get(*handle))
        {
            hash.vec3(body.translation());
            hash.quat(*body.rotation());
            hash.vec3(body.linvel());
            hash.vec3(body.angvel());
            hash.word(u64::from(body.is_sleeping()));
        }
    }

    fn insert(&mut self, index: u16, place: Vec3) {
        let shape = if index.is_multiple_of(2) {
            ColliderBuilder::ball(BALL_RADIUS).restitution(0.5)
        } else {
            ColliderBuilder::cuboid(CRATE_HALF, CRATE_HALF, CRATE_HALF)
        };
        let body = RigidBodyBuilder::dynamic()
            .translation(place)
            .linear_damping(0.4)
            .angular_damping(0.8);
        let collider = in_group(
            shape.density(DENSITY).friction(0.6),
            PROPS,
            LEVEL | PROPS | PLAYERS,
        );
        let (handle, _) = self.world.insert(body, collider);
        if let Some(body) = self.world.bodies.get_mut(handle) {
            let activation = body.activation_mut();
            (
                activation.normalized_linear_threshold,
                activation.time_until_sleep,
            ) = SLEEP;
        }
        self.bodies.push(handle);
        self.homes.push(place);
        self.centers.push(place);
        self.states.push(EntityState {
            id: EntityId::prop(index),
            x: 0,
            z: 0,
            y: 0,
            yaw: 0,
            health: 0,
            flags: EntityFlags::default(),
        });
    }

    /// Takes over where the props are, of those that moved or of all.
    fn refresh(&mut self, which: Awake) {
        let entries = self
            .bodies
            .iter()
            .zip(&mut self.centers)
            .zip(&mut self.states);
        for ((handle, center), state) in entries {
            let Some(body) = self.world.bodies.get(*handle) else {
                continue;
            };
            let asleep = body.is_sleeping();
            if asleep && state.flags.contains(EntityFlags::ASLEEP) && which == Awake::Moving {
                continue;
            }
            *center = body.translation();
            state.x = quantize_ground(center.x);
            state.z = quantize_ground(center.z);
            state.y = quantize_height(center.y);
            state.yaw = yaw(*body.rotation());
            state.flags = if asleep {
                EntityFlags::ASLEEP
            } else {
                EntityFlags::default()
            };
        }
    }

    fn add_player(&mut self, slot: PlayerSlot, feet: Vec3) -> RigidBodyHandle {
        let body = RigidBodyBuilder::kinematic_position_based().translation(middle(feet));
        let capsule = ColliderBuilder::capsule_y(HEIGHT / 2.0 - RADIUS, RADIUS);
        let (handle, _) = self.world.insert(body, in_group(capsule, PLAYERS, PROPS));
        if let Some(player) = self.players.get_mut(usize::from(slot.0)) {
            *player = Some(handle);
        }
        handle
    }
}

impl fmt::Debug for Props {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Props")
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awake {
    All,
    Moving,
}

fn in_group(collider: ColliderBuilder, member: Group, meets: Group) -> Collider {
    let groups = InteractionGroups::new(member, meets, InteractionTestMode::And);
    collider.collision_groups(groups).build()
}

fn collider(solid: &Solid) -> ColliderBuilder {
    let half = solid.top / 2.0;
    let shape = match solid.footprint {
        Footprint::Rectangle(extents) => ColliderBuilder::cuboid(extents.x, half, extents.y),
        Footprint::Circle(radius) => ColliderBuilder::cylinder(half, radius),
    };
    shape.translation(Vec3::new(solid.center.x, half, solid.center.y))
}

/// The middle of the capsule of a player.
fn middle(feet: Vec3) -> Vec3 {
    feet + Vec3::Y * (HEIGHT / 2.0)
}

/// The turn about the vertical, counterclockwise seen from above, in 1,024ths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 1,024"
)]
fn yaw(rotation: Quat) -> u16 {
    let east = rotation * Vec3::X;
    let turn = libm::atan2f(east.z, east.x) / core::f32::consts::TAU;
    libm::roundf((turn + 1.0) * 1_024.0) as u16 % 1_024
}
