//! The steps from options to a ring that receives, in the order that lets no
//! unwanted packet in.
//!
//! A socket of protocol 0 receives nothing. It gets version, reserve, filter and
//! ring first, and is bound last. Sockets of a fanout group must be bound before
//! they join, so those let nothing in until all have joined.

use super::common::Common;
use super::filter;
use super::hwstamp::{self, Outcome};
use super::link::LinkWatch;
use super::shape::{self, RESERVE_BYTES};
use super::stats::{Counters, Drain};
use super::walk::WalkRules;
use super::{
    Direction, Fanout, Granted, HwStamp, Mode, OpenError, Opened, OpenedQueues, Ring, RingOptions, RingV2,
    RingV3,
};
use crate::clock::{ClockReading, read_together};
use crate::packet::{InterfaceDef, LinkType};
use crate::sys::multicast::Memberships;
use crate::sys::netdev::{LinkQuery, NetDevice};
use crate::sys::packet_socket::{PacketSocket, RingVersion};
use crate::sys::phc::Phc;
use crate::sys::ring_map::{RingLayout, RingMap};
use crate::sys::socket_filter::Instruction;
use crate::sys::{ethtool, kernel};
use crate::time::{NS_PER_SEC, delta_ns};
use std::io;
use std::os::fd::AsFd;

/// Rings are not halved below this, bytes.
const SMALLEST_RING_BYTES: u64 = 16 << 10;
/// First kernel whose merge header knows merged UDP. Older ones *drop* such packets when the header is asked for.
const VNET_KNOWS_UDP: (u32, u32) = (6, 2);
/// First kernel whose V3 timer does not go by ticks.
const PRECISE_TIMER: (u32, u32) = (6, 18);
/// Longest retire time, ms.
const LONGEST_RETIRE_MS: u32 = 10_000;
const MAX_QUEUES: u16 = 256;
/// The kernel's bound on an interface's kernel-side snap length, and ours.
const LARGEST_RING_BYTES: u64 = 1 << 40;

/// Opens one ring.
///
/// # Errors
/// [`OpenError`] names what is wrong and the mend.
pub fn open(options: &RingOptions) -> Result<Opened, OpenError> {
    let OpenedQueues { mut rings, interface, warnings, link } = open_queues(options, 1)?;
    let Some((ring, granted)) = rings.pop() else {
        return Err(OpenError::Options("no queue".to_owned()));
    };
    Ok(Opened { ring, interface, granted, warnings, link })
}

/// Opens `queues` rings on one interface; with more than one, packets are spread over them by
/// [`RingOptions::fanout`].
///
/// # Errors
/// [`OpenError`] names what is wrong and the mend.
pub fn open_queues(options: &RingOptions, queues: u16) -> Result<OpenedQueues, OpenError> {
    check(options, queues)?;
    let io = |what| move |error| OpenError::Io { interface: options.interface.clone(), what, error };
    let mut query = LinkQuery::open().map_err(io("asking for interfaces"))?;
    let device = find(&mut query, &options.interface)?;
    let link_type = link_type(&device)?;
    let mut warnings = Vec::new();

    let first = socket(options)?;
    let Outcome { guard, granted: stamped, phc_index, warnings: about_stamps } =
        hwstamp::request(&first, &device.name, options.hwstamp)?;
    warnings.extend(about_stamps);
    let plan = Plan { options, device: &device, link_type, in_group: queues > 1, stamped, phc_index };

    let mut made = vec![plan.make(first, &mut warnings)?];
    for _ in 1..queues {
        let mut told_before = Vec::new();
        made.push(plan.make(socket(options)?, &mut told_before)?);
    }
    let sockets = made
        .iter()
        .map(|(ring, _)| ring.socket().try_clone())
        .collect::<io::Result<Vec<_>>>()
        .map_err(io("duplicating a socket"))?;
    let mut memberships = Memberships::default();
    for group in &options.groups {
        memberships.join(*group, device.ifindex).map_err(|error| {
            OpenError::Options(format!("{}: joining group {group}: {error}", options.interface))
        })?;
    }
    plan.bind_all(&mut made)?;
    if !device.is_running() {
        warnings.push(format!("{}: is down (or has no carrier); packets come once it is up", device.name));
    }
    warn_of_merging(&plan, &made[0].1, &mut warnings);
    let interface = describe(options, &device, link_type, &sockets[0]);
    let link = LinkWatch::new(&device, sockets, query, options.promiscuous, memberships, guard);
    Ok(OpenedQueues { rings: made, interface, warnings, link })
}

/// Whether [`open`] has a chance: the options make sense, the interface is there and of a link type that is
/// understood, and this process may open packet sockets. Changes nothing.
///
/// # Errors
/// What [`open`] would say.
pub fn probe(options: &RingOptions) -> Result<(), OpenError> {
    check(options, 1)?;
    let io =
        |error| OpenError::Io { interface: options.interface.clone(), what: "asking for interfaces", error };
    link_type(&find(&mut LinkQuery::open().map_err(io)?, &options.interface)?)?;
    socket(options).map(drop)
}

/// What is to be added to the NIC's stamps to bring them to UTC: minus the TAI offset if its clock is on TAI (as
/// `ptp4l` sets it), 0 if it is on UTC or has nothing to do with either. Whole seconds: how well it is disciplined is for
/// the clock records to say.
pub fn utc_shift_ns(interface: &str) -> i64 {
    let Ok(query) = LinkQuery::open() else { return 0 };
    let index = ethtool::timestamp_info(query.as_fd(), interface).ok().and_then(|info| info.phc_index);
    let Some(mut phc) = index.and_then(|index| Phc::open(index).ok()) else { return 0 };
    shift_of(&read_together(Some(&mut phc)))
}

fn shift_of(reading: &ClockReading) -> i64 {
    let Some(phc_ns) = reading.phc_ns else { return 0 };
    let offset_ns = delta_ns(reading.tai_ns, reading.realtime_ns);
    let whole_s = offset_ns.saturating_add(NS_PER_SEC.cast_signed() / 2).div_euclid(NS_PER_SEC.cast_signed());
    let on_tai = phc_ns.abs_diff(reading.tai_ns) < ON_SCALE_NS;
    if on_tai && whole_s != 0 { -whole_s * NS_PER_SEC.cast_signed() } else { 0 }
}

/// A clock that shows a scale's time to within this is on that scale.
const ON_SCALE_NS: u64 = NS_PER_SEC / 2;

fn check(options: &RingOptions, queues: u16) -> Result<(), OpenError> {
    let refuse = |text: String| Err(OpenError::Options(text));
    if options.interface == "any" {
        return Err(OpenError::Any);
    }
    if !(1..=MAX_QUEUES).contains(&queues) {
        return refuse(format!("{queues} queues: between 1 and {MAX_QUEUES} are possible"));
    }
    if options.mode == Mode::Throughput && !(1..=LONGEST_RETIRE_MS).contains(&options.retire_ms) {
        let asked = options.retire_ms;
        return refuse(format!("retire time of {asked} ms: between 1 and {LONGEST_RETIRE_MS} are possible"));
    }
    if options.ring_bytes > LARGEST_RING_BYTES {
        return refuse(format!("a ring of {} bytes is beyond reason", options.ring_bytes));
    }
    Ok(())
}

fn find(query: &mut LinkQuery, name: &str) -> Result<NetDevice, OpenError> {
    let io = |error| OpenError::Io { interface: name.to_owned(), what: "asking for the interface", error };
    if let Some(device) = query.by_name(name).map_err(io)? {
        return Ok(device);
    }
    let have = query.all().map_err(io)?.into_iter().map(|device| device.name).collect();
    Err(OpenError::UnknownInterface { name: name.to_owned(), have })
}

fn link_type(device: &NetDevice) -> Result<LinkType, OpenError> {
    /// `ARPHRD_RAWIP` (Linux 4.15+).
    const ARPHRD_RAWIP: u16 = 519;
    match device.hardware_type {
        libc::ARPHRD_ETHER | libc::ARPHRD_LOOPBACK => Ok(LinkType::ETHERNET),
        libc::ARPHRD_NONE | ARPHRD_RAWIP => Ok(LinkType::RAW),
        hardware_type => Err(OpenError::LinkType { name: device.name.clone(), hardware_type }),
    }
}

fn socket(options: &RingOptions) -> Result<PacketSocket, OpenError> {
    PacketSocket::open().map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            let program =
                std::env::current_exe().map_or_else(|_| "wiretape".to_owned(), |p| p.display().to_string());
            OpenError::NotPermitted { name: options.interface.clone(), program }
        }
        _ => OpenError::Io { interface: options.interface.clone(), what: "opening a packet socket", error },
    })
}

/// What is the same for all queues.
struct Plan<'a> {
    options: &'a RingOptions,
    device: &'a NetDevice,
    link_type: LinkType,
    in_group: bool,
    stamped: bool,
    phc_index: Option<u32>,
}

impl Plan<'_> {
    fn io(&self, what: &'static str) -> impl Fn(io::Error) -> OpenError {
        let interface = self.options.interface.clone();
        move |error| OpenError::Io { interface: interface.clone(), what, error }
    }

    /// A ring on `socket`, filtered, not yet bound.
    fn make(&self, socket: PacketSocket, warnings: &mut Vec<String>) -> Result<(Ring, Granted), OpenError> {
        let options = self.options;
        let version = match options.mode {
            Mode::Latency => RingVersion::V2,
            Mode::Throughput => RingVersion::V3,
        };
        socket.set_version(version).map_err(self.io("choosing the ring's version"))?;
        socket.set_reserve(RESERVE_BYTES).map_err(self.io("reserving room for VLAN tags"))?;
        let sees_merged = self.ask_for_merge_header(&socket, warnings);
        if self.stamped {
            socket.set_hardware_stamps().map_err(self.io("asking for hardware stamps"))?;
        }
        self.shut_or_filter(&socket, warnings)?;
        let (map, longest) = self.ring(&socket, warnings)?;
        let layout = map.layout();
        let retire = (options.mode == Mode::Throughput).then(|| self.retire_ns(warnings));
        let granted = Granted {
            mode: options.mode,
            ring_bytes: layout.ring_bytes() as u64,
            units: layout.units(),
            unit_bytes: layout.unit_bytes,
            longest_packet_bytes: longest,
            locked: map.is_locked(),
            retire_ms_asked: retire.map(|_| options.retire_ms),
            retire_ns: retire,
            stamps: self.stamps(),
            hardware_stamps: self.stamped,
            phc_index: self.phc_index,
            sees_merged,
            fanout: None,
        };
        let rules = WalkRules {
            link: self.link_type,
            snaplen: if options.snaplen == 0 { u32::MAX } else { options.snaplen },
            vnet_header: sees_merged,
            hw_to_utc_ns: options.hw_to_utc_ns,
        };
        let common = Common {
            socket,
            interface: options.interface.clone(),
            wait: options.wait_mode(),
            next_unit: 0,
            counters: Counters::default(),
            drain: Drain::default(),
        };
        let ring = match retire {
            None => Ring::V2(RingV2::new(map, rules, common)),
            Some(retire_ns) => Ring::V3(RingV3::new(map, rules, common, retire_ns)),
        };
        Ok((ring, granted))
    }

    fn ask_for_merge_header(&self, socket: &PacketSocket, warnings: &mut Vec<String>) -> bool {
        let name = &self.options.interface;
        if kernel::version() < VNET_KNOWS_UDP {
            warnings.push(format!(
                "{name}: this kernel (before 6.2) cannot mark merged datagrams; \
                 `ethtool -K {name} gro off lro off` makes sure that there are none"
            ));
            return false;
        }
        match socket.set_vnet_header() {
            Ok(()) => true,
            Err(error) => {
                warnings.push(format!("{name}: merged datagrams will not be recognised: {error}"));
                false
            }
        }
    }

    /// A lone socket gets its filter now, before it is bound. One of a group is bound before it joins, and lets
    /// nothing in until then.
    fn shut_or_filter(&self, socket: &PacketSocket, warnings: &mut Vec<String>) -> Result<(), OpenError> {
        if self.in_group {
            return filter::reject_all(socket).map_err(self.io("shutting the socket"));
        }
        let filter_incoming = self.options.direction == Direction::In && {
            let ignored = socket.set_ignore_outgoing();
            if let Err(error) = &ignored {
                warnings.push(format!(
                    "{}: PACKET_IGNORE_OUTGOING: {error}; what this host sends is filtered out instead",
                    self.options.interface
                ));
            }
            ignored.is_err()
        };
        match filter::program(self.options, filter_incoming) {
            None => Ok(()),
            Some(program) => filter::attach(socket, Some(&program), &self.options.interface),
        }
    }

    /// Sets the ring up and maps it, in halves if the kernel has not got the memory.
    fn ring(&self, socket: &PacketSocket, warnings: &mut Vec<String>) -> Result<(RingMap, u32), OpenError> {
        let options = self.options;
        let mut ring_bytes = options.ring_bytes.max(SMALLEST_RING_BYTES);
        loop {
            let Some(layout) = shape::layout(options, self.device.mtu, ring_bytes) else {
                return Err(OpenError::Options(format!(
                    "{}: no ring can be cut like that: frames hold 128 bytes to 4 MiB, blocks 4 KiB to 4 MiB",
                    options.interface
                )));
            };
            match self.try_ring(socket, layout) {
                Ok(map) => {
                    if ring_bytes < options.ring_bytes {
                        let granted = layout.ring_bytes();
                        let asked = options.ring_bytes;
                        warnings.push(format!(
                            "{}: the kernel granted a ring of {granted} bytes, not {asked}",
                            options.interface
                        ));
                    }
                    return Ok((map, shape::longest_packet(options.mode, layout.unit_bytes)));
                }
                Err(error) => {
                    let for_size = matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::EINVAL));
                    if !for_size || ring_bytes <= SMALLEST_RING_BYTES {
                        let interface = options.interface.clone();
                        return Err(OpenError::Ring { interface, ring_bytes, error });
                    }
                    ring_bytes = (ring_bytes / 2).max(SMALLEST_RING_BYTES);
                }
            }
        }
    }

    fn try_ring(&self, socket: &PacketSocket, layout: RingLayout) -> io::Result<RingMap> {
        match self.options.mode {
            Mode::Latency => socket.set_ring_v2(layout.block_bytes, layout.blocks, layout.unit_bytes)?,
            Mode::Throughput => {
                socket.set_ring_v3(layout.block_bytes, layout.blocks, self.options.retire_ms)?;
            }
        }
        RingMap::map(socket.as_fd(), layout)
    }

    /// How long a packet may really be held back. Older kernels use a timer of whole ticks, and one may have just
    /// begun.
    fn retire_ns(&self, warnings: &mut Vec<String>) -> u64 {
        let asked_ns = u64::from(self.options.retire_ms) * 1_000_000;
        let tick_ns = kernel::tick_ns();
        if kernel::version() >= PRECISE_TIMER || tick_ns == 0 {
            return asked_ns;
        }
        let ticks = asked_ns.div_ceil(tick_ns) + 1;
        let effective = ticks * tick_ns;
        warnings.push(format!(
            "{}: this kernel's retire timer goes by ticks of {} ms: packets wait up to {} ms in a block",
            self.options.interface,
            tick_ns / 1_000_000,
            effective / 1_000_000
        ));
        effective
    }

    fn stamps(&self) -> String {
        if self.stamped {
            format!("hardware ({} stamps every packet), else kernel", self.options.interface)
        } else {
            "kernel".to_owned()
        }
    }

    fn bind_all(&self, made: &mut [(Ring, Granted)]) -> Result<(), OpenError> {
        let ifindex = self.device.ifindex;
        let mut group = None;
        for (ring, granted) in made.iter_mut() {
            let socket = ring.socket();
            socket.bind(ifindex).map_err(self.io("binding to the interface"))?;
            if self.options.promiscuous {
                socket.add_promiscuous(ifindex).map_err(self.io("making it promiscuous"))?;
            }
            if self.in_group {
                let id = self.join(socket, group)?;
                group = Some(id);
                granted.fanout = Some((id, self.options.fanout));
            }
        }
        if self.in_group {
            // A group does not heed the sockets' own PACKET_IGNORE_OUTGOING, so their filters do.
            let program: Option<Vec<Instruction>> = filter::program(self.options, true);
            for (ring, _) in made.iter() {
                filter::attach(ring.socket(), program.as_deref(), &self.options.interface)?;
            }
        }
        Ok(())
    }

    /// Joins the group, or makes one with an id that no other process has.
    fn join(&self, socket: &PacketSocket, group: Option<u16>) -> Result<u16, OpenError> {
        let narrow = |number: libc::c_uint| u16::try_from(number).unwrap_or(0);
        let kind = narrow(match self.options.fanout {
            Fanout::Hash => libc::PACKET_FANOUT_HASH,
            Fanout::Cpu => libc::PACKET_FANOUT_CPU,
            Fanout::LoadBalance => libc::PACKET_FANOUT_LB,
            Fanout::QueueMapping => libc::PACKET_FANOUT_QM,
        });
        if let Some(id) = group {
            socket.join_fanout(id, kind).map_err(self.io("joining the fanout group"))?;
            return Ok(id);
        }
        let unique = kind | narrow(libc::PACKET_FANOUT_FLAG_UNIQUEID);
        socket.join_fanout(0, unique).map_err(self.io("making a fanout group"))?;
        socket.fanout_id().map_err(self.io("asking for the fanout group"))
    }
}

impl Ring {
    fn socket(&self) -> &PacketSocket {
        match self {
            Self::V2(ring) => ring.socket(),
            Self::V3(ring) => ring.socket(),
        }
    }
}

fn warn_of_merging(plan: &Plan<'_>, granted: &Granted, warnings: &mut Vec<String>) {
    let name = &plan.device.name;
    let Ok(socket) = PacketSocket::open() else { return };
    let (gro, lro) = (ethtool::gro_is_on(socket.as_fd(), name), ethtool::lro_is_on(socket.as_fd(), name));
    if plan.device.is_loopback() || !(gro || lro) {
        return;
    }
    let what = if lro { "LRO" } else { "GRO" };
    let cut = match plan.options.mode {
        Mode::Latency if granted.longest_packet_bytes < 65_536 => format!(
            "; merged packets longer than {} bytes are cut to that (their length is kept)",
            granted.longest_packet_bytes
        ),
        _ => String::new(),
    };
    warnings.push(format!(
        "{name}: {what} is on, so packets may be merged before they are seen{cut}; \
         `ethtool -K {name} gro off lro off` shows them as they were on the wire"
    ));
}

fn describe(
    options: &RingOptions,
    device: &NetDevice,
    link: LinkType,
    socket: &PacketSocket,
) -> InterfaceDef {
    let driver = ethtool::driver_info(socket.as_fd(), &device.name).ok();
    InterfaceDef {
        snaplen: options.snaplen,
        filter: options.filter_text.clone(),
        hardware: driver
            .map(|d| [d.driver, d.bus].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" "))
            .unwrap_or_default(),
        mac: device.mac.filter(|_| device.hardware_type == libc::ARPHRD_ETHER),
        speed_bps: ethtool::speed_bps(socket.as_fd(), &device.name),
        ..InterfaceDef::named(&device.name, link)
    }
}

/// All interfaces, by index: for `-D`.
///
/// # Errors
/// What the kernel says.
pub fn list_interfaces() -> io::Result<Vec<NetDevice>> {
    LinkQuery::open()?.all()
}

/// Where an interface's stamps can come from: for `-J`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StampSource {
    /// tcpdump's word for it.
    pub name: &'static str,
    /// In words.
    pub description: String,
    /// What to open it with.
    pub hwstamp: HwStamp,
}

/// The stamps that an interface can give. Needs no privilege.
///
/// # Errors
/// [`OpenError::UnknownInterface`], or what the kernel says.
pub fn stamp_sources(interface: &str) -> Result<Vec<StampSource>, OpenError> {
    let io = |error| OpenError::Io { interface: interface.to_owned(), what: "asking for stamps", error };
    let mut query = LinkQuery::open().map_err(io)?;
    let device = find(&mut query, interface)?;
    let mut sources = vec![StampSource {
        name: "host",
        description: "the kernel's, on delivery".to_owned(),
        hwstamp: HwStamp::Off,
    }];
    if let Ok(info) = ethtool::timestamp_info(query.as_fd(), &device.name)
        && info.has_rx_hardware()
    {
        let clock = info.phc_index.map_or_else(String::new, |n| format!(", clock /dev/ptp{n}"));
        let filters = if info.can_stamp_all() { "every packet" } else { "PTP packets only, it says" };
        sources.push(StampSource {
            name: "adapter_unsynced",
            description: format!("the NIC's ({filters}{clock})"),
            hwstamp: HwStamp::Auto,
        });
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::{link_type, shift_of};
    use crate::clock::ClockReading;
    use crate::packet::LinkType;
    use crate::sys::netdev::NetDevice;

    #[test]
    fn stamps_of_a_nic_on_tai_are_brought_to_utc_and_others_are_left() {
        let utc_ns = 1_800_000_000_000_000_000;
        let shift = |tai_ns, phc_ns| {
            shift_of(&ClockReading { realtime_ns: utc_ns, tai_ns, phc_ns, ..ClockReading::default() })
        };
        let tai_ns = utc_ns + 37_000_000_000;
        assert_eq!(shift(tai_ns + 60, Some(tai_ns + 1_000)), -37_000_000_000);
        assert_eq!(shift(tai_ns, Some(utc_ns)), 0);
        assert_eq!(shift(tai_ns, Some(5_000_000_000)), 0, "a clock that nobody set");
        assert_eq!(shift(utc_ns + 60, Some(utc_ns)), 0, "the kernel was never told the TAI offset");
        assert_eq!(shift(tai_ns, None), 0);
    }

    #[test]
    fn link_types_that_are_not_understood_are_refused_by_name() {
        let of = |hardware_type| {
            link_type(&NetDevice { name: "x0".to_owned(), hardware_type, ..NetDevice::default() })
        };
        assert_eq!(of(libc::ARPHRD_ETHER).unwrap(), LinkType::ETHERNET);
        assert_eq!(of(libc::ARPHRD_LOOPBACK).unwrap(), LinkType::ETHERNET);
        assert_eq!(of(libc::ARPHRD_NONE).unwrap(), LinkType::RAW);
        assert_eq!(of(519).unwrap(), LinkType::RAW);
        assert!(of(280).unwrap_err().to_string().contains("link type CAN (ARPHRD 280) is not supported"));
        assert!(of(772 - 1).unwrap_err().to_string().starts_with("x0: link type"));
    }
}
