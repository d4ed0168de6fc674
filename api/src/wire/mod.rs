//! The answers of the API, made from the rows of the store, with one file per noun. So a column can be renamed without
//! changing the API.

pub mod account;
pub mod audit;
pub mod dashboard;
pub mod delivery;
pub mod group;
pub mod health;
pub mod key;
pub mod message;
pub mod notification;
pub mod pairing;
pub mod preview;
pub mod qr;
pub mod reminder;
pub mod run;
pub mod tenant;
pub mod webhook;
