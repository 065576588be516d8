//! Google Drive: the real binary with the real plug-in, against an emulator of the service.

mod both_ways;
mod credentials;
mod faults;
mod kill;
mod quota;
mod rclone;
mod removal;
mod requests;
mod secrets;
mod twins;
