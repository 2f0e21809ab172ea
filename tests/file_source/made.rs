//! Makes capture files byte by byte, in either byte order, so that a test knows what is in them.

#![allow(dead_code, reason = "each test program uses its own part of this")]

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub(crate) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
    pub(crate) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
    pub(crate) fn u64(self, value: u64) -> [u8; 8] {
        if self == Self::Little { value.to_le_bytes() } else { value.to_be_bytes() }
    }
}

/// A classic pcap file.
pub(crate) struct Classic {
    order: Order,
    pub(crate) bytes: Vec<u8>,
}

impl Classic {
    pub(crate) fn new(order: Order, nanos: bool, link_field: u32) -> Self {
        let mut bytes = vec![];
        bytes.extend(order.u32(if nanos { 0xa1b2_3c4d } else { 0xa1b2_c3d4 }));
        bytes.extend(order.u16(2));
        bytes.extend(order.u16(4));
        for word in [0, 0, 65_535, link_field] {
            bytes.extend(order.u32(word));
        }
        Self { order, bytes }
    }
    pub(crate) fn raw_record_header(&mut self, seconds: u32, fraction: u32, captured: u32, wire_len: u32) {
        for word in [seconds, fraction, captured, wire_len] {
            self.bytes.extend(self.order.u32(word));
        }
    }
    pub(crate) fn record(&mut self, seconds: u32, fraction: u32, packet: &[u8], wire_len: u32) {
        self.raw_record_header(seconds, fraction, u32::try_from(packet.len()).unwrap(), wire_len);
        self.bytes.extend(packet);
    }
}

/// A pcapng file.
pub(crate) struct Ng {
    pub(crate) order: Order,
    pub(crate) bytes: Vec<u8>,
}

impl Ng {
    pub(crate) const fn new(order: Order) -> Self {
        Self { order, bytes: vec![] }
    }
    pub(crate) fn block(&mut self, block_type: u32, body: &[u8]) {
        let padded = body.len().next_multiple_of(4);
        let total = self.order.u32(u32::try_from(padded + 12).unwrap());
        self.bytes.extend(self.order.u32(block_type));
        self.bytes.extend(total);
        self.bytes.extend(body);
        self.bytes.resize(self.bytes.len() + padded - body.len(), 0);
        self.bytes.extend(total);
    }
    pub(crate) fn section(&mut self) {
        let mut body = self.order.u32(0x1a2b_3c4d).to_vec();
        body.extend(self.order.u16(1));
        body.extend(self.order.u16(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body);
    }
    pub(crate) fn interface(&mut self, link: u16, snaplen: u32, options: &[(u16, &[u8])]) {
        let mut body = self.order.u16(link).to_vec();
        body.extend([0; 2]);
        body.extend(self.order.u32(snaplen));
        self.options(&mut body, options);
        self.block(1, &body);
    }
    pub(crate) fn enhanced(
        &mut self,
        interface: u32,
        ticks: u64,
        packet: &[u8],
        wire: u32,
        options: &[(u16, &[u8])],
    ) {
        let mut body = self.order.u32(interface).to_vec();
        self.packet_fields(&mut body, ticks, packet, wire);
        self.options(&mut body, options);
        self.block(6, &body);
    }
    pub(crate) fn simple(&mut self, packet: &[u8], wire_len: u32) {
        let mut body = self.order.u32(wire_len).to_vec();
        body.extend(packet);
        self.block(3, &body);
    }
    pub(crate) fn obsolete(&mut self, interface: u16, drops: u16, ticks: u64, packet: &[u8], wire_len: u32) {
        let mut body = self.order.u16(interface).to_vec();
        body.extend(self.order.u16(drops));
        self.packet_fields(&mut body, ticks, packet, wire_len);
        self.block(2, &body);
    }
    fn packet_fields(&self, body: &mut Vec<u8>, ticks: u64, packet: &[u8], wire_len: u32) {
        let (high, low) = (ticks >> 32, ticks & 0xffff_ffff);
        let captured = u32::try_from(packet.len()).unwrap();
        for word in [u32::try_from(high).unwrap(), u32::try_from(low).unwrap(), captured, wire_len] {
            body.extend(self.order.u32(word));
        }
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    fn options(&self, body: &mut Vec<u8>, options: &[(u16, &[u8])]) {
        for (code, value) in options {
            body.extend(self.order.u16(*code));
            body.extend(self.order.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        if !options.is_empty() {
            body.extend([0; 4]);
        }
    }
}
