# One promise, every door: each_door says it once and has it kept by all, each in a subtest of its own name.
package Weft::Door::Promise;
use v5.30;
use warnings;

use Exporter 'import';
use Test::More ();
use Time::HiRes qw(sleep);

use Weft::Door;
use Weft::Test;

our @EXPORT = qw(all_held each_door doors_for nodes_with_doors nothing_left);

# What a door has no words for, with the reason. Everything else is kept by every door.
our %WITHOUT = (
    poll => {
        'slow' => 'a poll is one answer: nothing queues behind it',
    },
    raw => {
        'resume'   => 'a plain client has no word for a position: what is said while it is away it misses, and the end of its connection tells it',
        'presence' => 'a plain client is told data alone: joins and leaves would look like data',
        'signals'  => 'a plain client is told data alone: signals would look like data',
        'channels' => 'the server alone says which channels a plain client is put into',
    },
);

$WITHOUT{poll2} = $WITHOUT{poll};

# The doors that know a promise; for each of the others a skipped test that says why.
sub doors_for {
    my ($promise) = @_;
    my @doors;
    for my $door (Weft::Door->all) {
        my $why = $WITHOUT{ $door->key }{$promise};
        push @doors, $door unless defined $why;
        Test::More::subtest("$promise: " . $door->name => sub { Test::More::plan(skip_all => $why) }) if defined $why;
    }
    return @doors;
}

# check, once for each door: each_door 'promise', 'what it says' => sub { my ($door) = @_; … }.
sub each_door {
    my ($promise, $statement, $code) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    for my $door (doors_for($promise)) {
        check($door->name . ": $statement" => sub { $code->($door) });
    }
    return;
}

our $RULES = <<'RULES';
    weft_channel "doors:{sub}:own"{ publish on; }
    weft_channel doors:open:*    { publish on; history 2000 10m; }
    weft_channel doors:short:*   { publish on; history 5 10m; }
    weft_channel doors:bare:*    { publish on; }
    weft_channel doors:seen:*    { publish on; presence on debounce=1s; }
    weft_channel doors:*         { publish on; }
RULES

# A mesh of nodes with all doors: names, then a hash of `variants` (see Weft::Door->locations), and what Weft::Test->mesh
# takes.
sub nodes_with_doors {
    my ($test, @names) = @_;
    my %options  = %{ pop @names };
    my $variants = delete $options{variants} // {};
    my $common   = 'weft_ticket key=' . $test->key_file . '; weft_rate off;';
    my $server   = Weft::Door->locations($common, %$variants) . (delete $options{server} // '');
    my %address  = map { $_ => 'tcp://127.0.0.1:' . $test->port } @names;
    my @nodes;
    for my $name (@names) {
        my $ports = Weft::Door->ports($test);
        my @peers = map { $address{$_} } grep { $_ ne $name } @names;
        my $node  = $test->node(
            $name,
            workers => 2, rules => $RULES, location => $common, server => $server, listen => Weft::Door->listens($ports),
            @peers ? (mesh => $address{$name}, peers => \@peers) : (),
            %options, http => "    weft_rooms_prefix \"\";\n" . ($options{http} // ''));
        $node->{ports} = $ports;
        push @nodes, $node;
    }
    return wantarray ? @nodes : $nodes[0];
}

# That all these are there, beside so many others, and polls are held: between two polls nobody listens. A poll that was
# answered may be counted for a moment more, so it must be so for a while.
sub all_held {
    my ($node, $others, @all) = @_;
    my $held = wait_for {
        for (1 .. 5) {
            $_->pump for @all;
            return 0 if $node->status->{connections}{active} != $others + @all;
            sleep 0.03;
        }
        return 1;
    };
    return Test::More::ok($held, 'all are there');
}

# That nothing is left of what a test opened: no connection, no subscription, no channel.
sub nothing_left {
    my (@nodes) = @_;
    for my $node (@nodes) {
        my $status;
        my $empty = wait_for {
            $status = eval { $node->status } or return 0;
            return !$status->{connections}{active} && !$status->{subscriptions} && !$status->{channels};
        };
        Test::More::ok($empty, "nothing is left on $node->{name}")
            or Test::More::diag("active $status->{connections}{active}, subscriptions $status->{subscriptions}, channels $status->{channels}");
    }
    return;
}

1;
