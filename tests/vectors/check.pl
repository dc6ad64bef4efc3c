#!/usr/bin/env perl
# check.pl PROTOC PROTO_PATH : whether each frame in client_frames.json has the bytes that protoc makes of its text.
# With --write as the first argument it writes the bytes instead: say `json` and `text` of a new frame, and run it.
use strict;
use warnings;
use FindBin;
use IPC::Open2;
use JSON::PP;

my $write = @ARGV && $ARGV[0] eq '--write' && shift;
my ($protoc, $proto_path) = @ARGV;
die "usage: check.pl [--write] PROTOC PROTO_PATH\n" unless defined $proto_path;

my $file = "$FindBin::Bin/client_frames.json";
open my $in, '<', $file or die "$file: $!\n";
my $text = do { local $/; <$in> };
my $vectors = JSON::PP->new->utf8->decode($text);

my ($wrong, $count) = (0, 0);
for my $side ([ client => 'ClientFrame' ], [ server => 'ServerFrame' ]) {
    my ($name, $message) = @$side;
    for my $vector (@{ $vectors->{$name} }) {
        my $pid = open2(my $from, my $to, $protoc, "--proto_path=$proto_path", "--encode=weft.client.v1.$message",
            'weft/v1/client.proto');
        binmode $to, ':encoding(UTF-8)';
        binmode $from;
        print {$to} $vector->{text};
        close $to;
        my $bytes = do { local $/; <$from> } // '';
        waitpid $pid, 0;
        die "protoc takes no \"$vector->{text}\"\n" if $?;
        my $hex = unpack 'H*', $bytes;
        $count++;
        if ($write) { $vector->{protobuf} = $hex; next }
        next if $hex eq $vector->{protobuf};
        print "$name \"$vector->{name}\": $vector->{protobuf}, expected $hex\n";
        $wrong++;
    }
}
die "no frames in $file\n" unless $count;
if ($write) {
    open my $out, '>', $file or die "$file: $!\n";
    print {$out} JSON::PP->new->utf8->canonical->indent->indent_length(2)->space_after->encode($vectors);
    close $out or die "$file: $!\n";
}
exit($wrong ? 1 : 0);
