# weft.v1.protobuf for tests: messages in the shape of weft.v1.json, as Weft::Client has them, to bytes and back. Reads
# proto/weft/v1/client.proto itself and shares nothing with the module, so that each checks the other.
package Weft::Protobuf;
use v5.30;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;
use POSIX qw(strftime);

my $json = JSON::PP->new->allow_nonref->utf8;

# {message}{field} and {message}{number}: [name, number, type, repeated, optional]
my (%by_name, %by_number);

sub _read_schema {
    my $file = dirname(abs_path(__FILE__)) . '/../../../proto/weft/v1/client.proto';
    open my $in, '<', $file or die "$file: $!\n";
    my ($message, $oneof);
    while (my $line = <$in>) {
        $line =~ s{//.*}{};
        if    ($line =~ /^message (\w+) \{\s*\}/) { $by_name{$1} = {}; $by_number{$1} = {} }
        elsif ($line =~ /^message (\w+) \{/)      { $message = $1; $by_name{$1} = {}; $by_number{$1} = {} }
        elsif ($line =~ /^\s*oneof/)              { $oneof   = 1 }
        elsif ($line =~ /^\s*(repeated |optional )?(\w+) (\w+) = (\d+);/ && $message) {
            my $field = [ $3, $4, $2, ($1 // '') eq 'repeated ', ($1 // '') eq 'optional ' || $oneof ];
            $by_name{$message}{$3} = $by_number{$message}{$4} = $field;
        }
        elsif ($line =~ /^\s*\}/) { $oneof ? undef $oneof : undef $message }
    }
    return;
}

sub _varint {
    my ($value) = @_;
    my $out = '';
    while ($value > 127) { $out .= chr($value & 127 | 128); $value >>= 7 }
    return $out . chr $value;
}

sub _write {
    my ($message, $values) = @_;
    my $out = '';
    for my $name (sort { $by_name{$message}{$a}[1] <=> $by_name{$message}{$b}[1] } keys %$values) {
        my (undef, $number, $type) = @{ $by_name{$message}{$name} // die "$message has no $name\n" };
        my $value = $values->{$name};
        if ($by_name{$type}) { my $inner = _write($type, $value); $out .= _varint($number << 3 | 2) . _varint(length $inner) . $inner }
        elsif ($type =~ /^(?:string|bytes)$/) { $out .= _varint($number << 3 | 2) . _varint(length $value) . $value }
        else                                  { $out .= _varint($number << 3) . _varint($value) }
    }
    return $out;
}

sub _take_varint {
    my ($bytes) = @_;
    my ($value, $shift) = (0, 0);
    while ($$bytes =~ s/^(.)//s) {
        my $byte = ord $1;
        $value |= ($byte & 127) << $shift;
        return $value if $byte < 128;
        $shift += 7;
    }
    die "the message ends in a number\n";
}

sub _read {
    my ($message, $bytes) = @_;
    my %values;
    for my $field (values %{ $by_name{$message} }) {
        my ($name, undef, $type, $repeated, $optional) = @$field;
        next if $optional || $by_name{$type} && !$repeated;
        $values{$name} = $repeated ? [] : $type eq 'bool' ? JSON::PP::false : $type =~ /^(?:string|bytes)$/ ? '' : 0;
    }
    while (length $bytes) {
        my $key   = _take_varint(\$bytes);
        my $wire  = $key & 7;
        my $value = $wire == 0 ? _take_varint(\$bytes) : $wire == 1 ? unpack('d<', substr $bytes, 0, 8, '') : undef;
        if ($wire == 2) {
            my $size = _take_varint(\$bytes);
            die "the message ends in a field\n" if $size > length $bytes;
            $value = substr $bytes, 0, $size, '';
        }
        die "wire type $wire\n" unless defined $value;
        my ($name, undef, $type, $repeated) = @{ $by_number{$message}{ $key >> 3 } // die "$message has no field " . ($key >> 3) . "\n" };
        $value = _read($type, $value) if $by_name{$type};
        $value = $value ? JSON::PP::true : JSON::PP::false if $type eq 'bool';
        if   ($repeated) { push @{ $values{$name} }, $value }
        else             { $values{$name} = $value }
    }
    return \%values;
}

my %JSON_FIELD = map { $_ => 1 } qw(data params result info);

# {type, id, payload} to bytes.
sub encode {
    my ($message) = @_;
    my %payload = %{ $message->{payload} // {} };
    $payload{no_echo} = 1 if exists $payload{echo} && !delete $payload{echo};
    delete $payload{echo};
    $payload{$_} = $json->encode($payload{$_}) for grep { $JSON_FIELD{$_} } keys %payload;
    return _write('ClientFrame', { defined $message->{id} ? (id => $message->{id}) : (), $message->{type} => \%payload });
}

# A publish command with this text as its data.
sub publication {
    my ($channel, $data) = @_;
    return _write('ClientFrame', { publish => { channel => $channel, data => $data } });
}

sub _time {
    my ($ms) = @_;
    return strftime('%Y-%m-%dT%H:%M:%S', gmtime int $ms / 1000) . sprintf '.%03dZ', $ms % 1000;
}

# What JSON leaves out or calls otherwise.
sub _as_json {
    my ($values, $type) = @_;
    for my $name (keys %$values) {
        my $value = $values->{$name};
        if    (ref $value eq 'HASH')  { _as_json($value, $name) }
        elsif (ref $value eq 'ARRAY') { _as_json($_, $name) for @$value }
        elsif ($JSON_FIELD{$name}) { length $value ? ($values->{$name} = $json->decode($value)) : delete $values->{$name} }
        elsif ($name =~ /^(server_time|timestamp|expires_at)_ms$/) { $values->{$1} = _time(delete $values->{$name}) }
    }
    delete @$values{ grep { !$values->{$_} } grep { exists $values->{$_} } qw(node retry_after_ms code messages_burst bytes_per_second) };
    delete $values->{user} if exists $values->{info} || $type =~ /^members?$/ and !length($values->{user} // '');
    delete $values->{reason} if $type eq 'unsubscribed' && !$values->{code};
    delete @$values{ grep { !length $values->{$_} } qw(message_id position) } if $type eq 'published';
    delete $values->{channel} if $type eq 'events';
    $values->{ $type eq 'join' ? 'first' : 'last' } = delete $values->{edge} if exists $values->{edge};
    if ($type eq 'presence' && delete $values->{count_only}) { delete @$values{qw(members users complete)} }
    return;
}

# Bytes to {type, id, payload}.
sub decode {
    my ($bytes) = @_;
    my $frame = _read('ServerFrame', $bytes);
    my $id    = delete $frame->{id};
    my ($type, @more) = keys %$frame;
    die 'a ServerFrame with ' . (defined $type ? 'more than one body' : 'no body') . "\n" if !defined $type || @more;
    _as_json($frame->{$type}, $type);
    return { type => $type, length $id ? (id => $id) : (), payload => $frame->{$type} };
}

_read_schema();

1;
